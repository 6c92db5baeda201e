"""HTTP/2 frame by frame, with nothing in between that would keep us from breaking the rules (hyperframe, hpack)."""

import threading
import time

from hpack import Encoder
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame
from relay_under_test import DEADLINE, check, open_socket

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "relay"), (":path", "/v1/ping")]
STREAM = [
    (":method", "POST"), (":scheme", "http"), (":authority", "relay"), (":path", "/v1/stream"), ("content-type", "application/x-ndjson"),
]

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 1, 3, 5, 6, 9, 11


def headers(stream, fields, *flags, encoder=None):
    block = (encoder or Encoder()).encode(fields)
    return HeadersFrame(stream, data=block, flags=["END_HEADERS", *flags])


class RawConnection:
    """A peer that reads all the time, in a thread of its own, so that a flood is never stopped by what comes back."""

    def __init__(self, settings=None, preface=PREFACE):
        self.socket = open_socket()
        self.received = []
        self.is_closed = False
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.write(preface + SettingsFrame(settings=settings or {}).serialize())
        self.wait(lambda: any(isinstance(frame, SettingsFrame) and not frame.flags for frame in self.received), "the server's settings")
        self.send(SettingsFrame(flags=["ACK"]))

    def write(self, data):
        """Raw bytes; false when the server has gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def send(self, *frames):
        return self.write(b"".join(frame.serialize() for frame in frames))

    def flood(self, make, count, piece=200):
        """Sends up to `count` frames in pieces, until the server has had enough."""
        for start in range(0, count, piece):
            frames = [frame for number in range(start, min(start + piece, count)) for frame in make(number)]
            if not self.send(*frames):
                return

    def read(self):
        buffer = b""
        try:
            while data := self.socket.recv(1 << 16):
                buffer += data
                buffer = self.take_frames(buffer)
        except OSError:
            pass
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    def take_frames(self, buffer):
        while len(buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(buffer[:9]))
            if len(buffer) < 9 + length:
                break
            frame.parse_body(memoryview(buffer[9 : 9 + length]))
            buffer = buffer[9 + length :]
            with self.changed:
                self.received.append(frame)
                self.changed.notify_all()
        return buffer

    def wait(self, holds, what):
        until = time.monotonic() + DEADLINE
        with self.changed:
            while not holds():
                left = until - time.monotonic()
                check(left > 0, f"not in time: {what}; got {self.received[-5:]}")
                check(not self.is_closed or holds(), f"the connection is closed; waited for {what}; got {self.received[-5:]}")
                self.changed.wait(left)

    def goaway(self):
        """The code of the GOAWAY with which the server ends the connection."""
        until = time.monotonic() + DEADLINE
        with self.changed:
            while not self.is_closed:
                left = until - time.monotonic()
                check(left > 0, f"the connection stays open; got {self.received[-5:]}")
                self.changed.wait(left)
        codes = [frame.error_code for frame in self.received if isinstance(frame, GoAwayFrame)]
        check(codes, f"closed without GOAWAY; got {self.received[-5:]}")
        return codes[-1]

    def frames_on(self, stream, kind):
        return [frame for frame in self.received if frame.stream_id == stream and isinstance(frame, kind)]

    def reset_code(self, stream):
        self.wait(lambda: self.frames_on(stream, RstStreamFrame), f"a reset of stream {stream}")
        return self.frames_on(stream, RstStreamFrame)[0].error_code

    def expect_alive(self, stream):
        """A request on another stream is answered: the connection was not hurt."""
        self.send(headers(stream, GET, "END_STREAM"))
        self.wait(lambda: self.frames_on(stream, HeadersFrame), "an answer on another stream")

    def close(self):
        self.socket.close()
