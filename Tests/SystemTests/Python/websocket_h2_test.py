"""Opens WebSockets over HTTP/2 (RFC 8441) with the h2 and wsproto libraries, compressed and not.

Run by DoorTests.swift, which tells of the mesh in the environment. Exits with 1 at the first thing that is wrong.
"""

import json

from http2_client import Connection
from relay_under_test import check, check_equal, door_sessions, setting
from wsproto.connection import Connection as WebSocketFrames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

ROOM = setting("ROOM")


class WebSocket:
    """A WebSocket on a stream of an HTTP/2 connection that may carry others."""

    def __init__(self, connection, subprotocol="heliograph.v1.json", deflate=False):
        extension = PerMessageDeflate() if deflate else None
        headers = [("sec-websocket-protocol", subprotocol)] if subprotocol else []
        if extension:
            headers.append(("sec-websocket-extensions", f"permessage-deflate; {extension.offer()}"))
        self.stream = connection.connect(headers=headers)
        check_equal(self.stream.status, 200, "the extended CONNECT")
        check_equal(self.stream.headers.get("sec-websocket-protocol"), subprotocol, "the subprotocol")
        agreed = self.stream.headers.get("sec-websocket-extensions")
        check_equal(agreed is not None, deflate, f"compression: {agreed}")
        if extension:
            extension.finalize(agreed)
        self.frames = WebSocketFrames(ConnectionType.CLIENT, [extension] if extension else [])
        self.messages = []
        self.close_code = None
        self.pongs = []
        self.text = ""
        self.next_id = 1

    def send(self, event):
        self.stream.send(self.frames.send(event))

    def take(self):
        data, self.stream.data = bytes(self.stream.data), bytearray()
        if data:
            self.frames.receive_data(data)
        for event in self.frames.events():
            match event:
                case TextMessage():
                    self.text += event.data
                    if event.message_finished:
                        self.messages += [json.loads(line) for line in self.text.split("\n") if line]
                        self.text = ""
                case BytesMessage():
                    self.messages.append(bytes(event.data))
                case CloseConnection():
                    self.close_code = event.code
                case Pong():
                    self.pongs.append(bytes(event.payload))

    def find(self, matches):
        """Takes the first message that matches out of what has come or comes."""
        found = []

        def look():
            self.take()
            found.extend(message for message in self.messages if matches(message))
            return found or self.stream.is_over

        self.stream.connection.wait(look, "a message")
        check(found, f"the stream ended instead, with {self.close_code}")
        self.messages.remove(found[0])
        return found[0]

    def ask(self, **frame):
        number = self.next_id
        self.next_id += 1
        self.send(TextMessage(json.dumps({"id": number, **frame})))
        return self.find(lambda reply: reply.get("id") == number)

    def push(self, kind, matches=lambda body: True):
        return self.find(lambda frame: "id" not in frame and kind in frame and matches(frame[kind]))[kind]

    def closed(self):
        """The close code, when the server has ended the stream."""
        check_equal(self.stream.end(), None, "the stream ends without a reset")
        self.take()
        self.stream.finish()
        return self.close_code


def talk():
    """Two users on two streams, one of them compressed."""
    connection = Connection()
    alice, bob = WebSocket(connection, deflate=True), WebSocket(connection, subprotocol=None)
    check_equal(alice.ask(hello={"token": setting("ALICE")})["welcome"]["user"], setting("ALICE_USER"), "welcome")
    check("welcome" in bob.ask(hello={"token": setting("BOB")}), "welcome")
    check(door_sessions("websocket_h2") >= 2, "the relay counts the sessions at this door")
    bob.ask(subscribe={"room": ROOM, "presence": True})
    alice.ask(subscribe={"room": ROOM})
    bob.push("roomPresence", lambda body: body.get("joined"))
    for number in range(20):
        text = f"{number} " + "grüße 😀 " * 200
        published = bob.ask(publish={"room": ROOM, "key": f"k{number}", "text": text})["published"]
        for user in (alice, bob):
            message = user.push("message")
            check_equal((message["text"], message["position"]), (text, published["position"]), "message")
    alice.send(Ping(b"are you there"))
    connection.wait(lambda: alice.take() or alice.pongs == [b"are you there"], "a pong")
    alice.send(CloseConnection(1000))
    check_equal(alice.closed(), 1000, "the close is answered")
    check_equal(bob.push("roomPresence", lambda body: body.get("left"))["left"], [setting("ALICE_USER")], "left, at once: a clean close")
    bob.send(TextMessage(json.dumps({"goodbye": {}})))
    connection.wait(lambda: bob.take() or bob.close_code is not None, "goodbye is answered with a close")
    bob.send(CloseConnection(1000))
    check_equal(bob.closed(), 1000, "goodbye")
    connection.close()


def closes():
    """Codes of the server's own closes."""
    connection = Connection()
    for text, code in (('{"id":1,"ping":{}}', 4501), ("{bad", 4500)):
        socket = WebSocket(connection)
        socket.send(TextMessage(text))
        connection.wait(lambda: socket.take() or socket.close_code is not None, "a close")
        check_equal((socket.close_code, socket.messages[-1]["goodbye"]["code"]), (code, code), text)
        socket.send(CloseConnection(code))
        socket.closed()
    proto = WebSocket(connection, "heliograph.v1.proto")
    proto.send(TextMessage("{}"))
    connection.wait(lambda: proto.take() or proto.close_code is not None, "a close")
    check_equal(proto.close_code, 1003, "text where binary is due")
    connection.close()


def refusals():
    connection = Connection()
    cases = [
        (dict(path="/v1/wss"), 404), (dict(protocol="webtransport"), 501), (dict(version="12"), 400), (dict(version=None), 400),
        (dict(headers=[("sec-websocket-protocol", "chat")]), 400),
    ]
    for options, status in cases:
        stream = connection.connect(**options)
        check_equal(stream.status, status, f"{options}")
    WebSocket(connection)
    connection.close()


for part in (talk, closes, refusals):
    try:
        part()
    except BaseException as error:
        raise AssertionError(f"in {part.__name__}") from error
print("all checks passed")
