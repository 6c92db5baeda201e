"""HTTP/2 for the scripts here, by the h2 library: one connection, many streams, and everything the server says kept by stream."""

import json
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from relay_under_test import DEADLINE, check, open_socket


class Stream:
    def __init__(self, connection, number):
        self.connection = connection
        self.number = number
        self.headers = {}
        self.trailers = {}
        self.data = bytearray()
        self.has_ended = False
        self.reset_code = None

    @property
    def is_over(self):
        return self.has_ended or self.reset_code is not None

    @property
    def status(self):
        """Waits for the answer to begin."""
        self.connection.wait(lambda: self.headers or self.is_over, f"headers on stream {self.number}")
        return int(self.headers.get(":status", 0))

    def send(self, data, end=False):
        self.connection.send_data(self.number, data, end)

    def finish(self):
        self.send(b"", end=True)

    def reset(self, code=8):
        self.connection.h2.reset_stream(self.number, code)
        self.connection.flush()

    def end(self):
        """Waits for the server to end the stream; the code of its reset, or None."""
        self.connection.wait(lambda: self.is_over, f"the end of stream {self.number}")
        return self.reset_code

    def body(self):
        check(self.end() is None, f"stream {self.number} was reset with {self.reset_code}")
        return bytes(self.data)


class Connection:
    def __init__(self, name="EU", socket_made=None, settings=None, reads=True):
        self.socket = socket_made or open_socket(name)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(client=True, initial_values={**(settings or {}), 2: 0})
        self.h2.initiate_connection()
        self.streams = {}
        self.goaway = None
        self.is_closed = False
        self.flush()
        if reads:
            self.wait(lambda: self.h2.remote_settings.enable_connect_protocol, "the server's settings")

    # Out.

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.write(data)

    def write(self, data):
        """Raw bytes. A server that has closed already is no failure of ours."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.is_closed = True

    def request(self, method, path, headers=(), end=False, scheme="http"):
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", scheme), (":authority", "relay"), (":path", path), *headers]
        self.h2.send_headers(number, fields, end_stream=end)
        self.streams[number] = Stream(self, number)
        self.flush()
        return self.streams[number]

    def connect(self, path="/v1/ws", protocol="websocket", version="13", headers=()):
        """The extended CONNECT of RFC 8441."""
        version = [("sec-websocket-version", version)] if version else []
        return self.request("CONNECT", path, [(":protocol", protocol), *version, *headers] if protocol else headers)

    def send_data(self, number, data, end):
        data = bytes(data)
        while data or end:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room == 0 and data:
                self.pump()
                continue
            last = len(data) <= room
            self.h2.send_data(number, data[:room], end_stream=end and last)
            data = data[room:]
            self.flush()
            if last:
                return

    # In.

    def wait(self, holds, what, seconds=DEADLINE):
        until = time.monotonic() + seconds
        while not holds():
            check(not self.is_closed, f"the connection is closed (GOAWAY {self.goaway}); waited for {what}")
            check(time.monotonic() < until, f"not in time: {what}")
            self.pump()

    def wait_for_close(self):
        """Reads to the end of the connection; the code of its GOAWAY, or None."""
        until = time.monotonic() + DEADLINE
        while not self.is_closed:
            check(time.monotonic() < until, "the connection stays open")
            self.pump()
        return self.goaway

    def pump(self):
        self.socket.settimeout(0.2)
        try:
            data = self.socket.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return
        except OSError:
            data = b""
        finally:
            self.socket.settimeout(DEADLINE)
        if not data:
            self.is_closed = True
            return
        for event in self.h2.receive_data(data):
            self.handle(event)
        self.flush()

    def handle(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.ResponseReceived():
                stream.headers = dict(event.headers)
            case h2.events.TrailersReceived():
                stream.trailers = dict(event.headers)
            case h2.events.DataReceived():
                if stream:
                    stream.data += event.data
                if event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                stream.has_ended = True
            case h2.events.StreamReset():
                if stream:
                    stream.reset_code = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = int(event.error_code)

    def close(self):
        self.socket.close()


class LineSession:
    """A session on `POST /v1/stream`: a line of JSON for every frame."""

    HEADERS = [("content-type", "application/x-ndjson")]

    def __init__(self, connection):
        self.stream = connection.request("POST", "/v1/stream", self.HEADERS)
        self.frames = []
        self.next_id = 1

    @classmethod
    def begin(cls, connection, token):
        session = cls(connection)
        reply = session.ask(hello={"token": token})
        check("welcome" in reply, f"no welcome: {reply}")
        return session, reply["welcome"]

    def send(self, **frame):
        self.stream.send(json.dumps(frame).encode() + b"\n")

    def ask(self, **frame):
        number = self.next_id
        self.next_id += 1
        self.send(id=number, **frame)
        return self.find(lambda reply: reply.get("id") == number)

    def find(self, matches):
        """Takes the first frame that matches out of what has come or comes."""
        found = []

        def look():
            self.take_lines()
            found.extend(frame for frame in self.frames if matches(frame))
            return found or self.stream.is_over

        self.stream.connection.wait(look, "a frame")
        check(found, f"the stream ended instead; it said {self.frames}")
        self.frames.remove(found[0])
        return found[0]

    def take_lines(self):
        *lines, rest = bytes(self.stream.data).split(b"\n")
        self.stream.data = bytearray(rest)
        self.frames += [json.loads(line) for line in lines if line]

    def push(self, kind, matches=lambda body: True):
        return self.find(lambda frame: "id" not in frame and kind in frame and matches(frame[kind]))[kind]

    def rest(self):
        """What comes until the server ends the stream."""
        self.stream.body()
        self.take_lines()
        check(not self.stream.data, f"the last line is whole: {self.stream.data}")
        return self.frames
