"""Requests and streams that go wrong, one case a run: `door_abuse.py CASE`.

Run by AbuseTests.swift, which counts the drops and watches a bystander. Exits with 1 when the server's answer is not what it should be.
"""

import json
import socket
import struct
import sys
import time

from http2_client import Connection, LineSession
from relay_under_test import DEADLINE, address, check, check_equal, door_sessions, setting

GRPC = "/heliograph.v1.Relay/Connect"
GRPC_TYPE = ("content-type", "application/grpc")
UNIMPLEMENTED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, INTERNAL = "12", "3", "4", "13"


def expect_alive(connection):
    stream = connection.request("GET", "/v1/ping", end=True)
    check_equal(stream.status, 204, "the connection goes on")


def call(connection, *messages, headers=(), end=False):
    stream = connection.request("POST", GRPC, [GRPC_TYPE, ("te", "trailers"), *headers])
    for message in messages:
        stream.send(message)
    if end:
        stream.finish()
    return stream


def expect_call_status(stream, code):
    stream.body()
    found = stream.trailers or stream.headers
    check_equal(found.get("grpc-status"), code, f"the status of the call, {found}")
    expect_alive(stream.connection)


# gRPC.


def grpc_message_that_promises_too_much():
    stream = call(Connection(), struct.pack(">BI", 0, 0x7FFFFFFF))
    expect_call_status(stream, INVALID_ARGUMENT)


def grpc_message_with_the_compressed_flag():
    """Without a `grpc-encoding` the flag is an error of the client (gRPC's compression.md)."""
    expect_call_status(call(Connection(), struct.pack(">BI", 1, 3) + b"abc"), INTERNAL)


def grpc_message_that_is_no_protobuf():
    expect_call_status(call(Connection(), struct.pack(">BI", 0, 3) + b"\xff\xff\xff"), INVALID_ARGUMENT)


def grpc_encoding():
    expect_call_status(call(Connection(), headers=[("grpc-encoding", "gzip")]), UNIMPLEMENTED)


def grpc_timeout_that_is_none():
    expect_call_status(call(Connection(), headers=[("grpc-timeout", "soon")]), INTERNAL)


def grpc_deadline():
    """The server's clock ends the call when the client's does not."""
    expect_call_status(call(Connection(), headers=[("grpc-timeout", "300m")]), DEADLINE_EXCEEDED)


def grpc_timeout_of_ages():
    """More hours than a clock can count are no reason to stumble."""
    stream = call(Connection(), headers=[("grpc-timeout", "99999999H")])
    check_equal(stream.status, 200, "a call")
    expect_alive(stream.connection)
    stream.reset()


def grpc_other_format():
    connection = Connection()
    stream = connection.request("POST", GRPC, [("content-type", "application/grpc+json")])
    check_equal(stream.status, 415, "another format of messages")
    expect_alive(connection)


# Requests.


def wrong_requests():
    connection = Connection()
    cases = [
        ("POST", GRPC, [("content-type", "application/json")], 415), ("POST", GRPC, [], 415), ("GET", GRPC, [GRPC_TYPE], 405),
        ("PUT", "/v1/stream", [("content-type", "application/x-ndjson")], 405), ("POST", "/v1/stream", [], 415),
        ("POST", "/v1/stream", [("content-type", "application/json")], 415),
        ("POST", "/v1/stream", [("content-type", "application/x-ndjson"), ("content-encoding", "gzip")], 415), ("GET", "/v1/ws", [], 400),
    ]
    for method, path, headers, status in cases:
        stream = connection.request(method, path, headers)
        check_equal(stream.status, status, f"{method} {path} {headers}")
        check("error" in json.loads(stream.body()), "the answer says why")
    expect_alive(connection)


def trailers_of_an_answered_request():
    """They are no request of their own."""
    connection = Connection()
    stream = connection.request("POST", "/v1/ping")
    connection.h2.send_headers(stream.number, [("x", "y")], end_stream=True)
    connection.flush()
    check_equal(stream.status, 405, "one answer")
    stream.body()
    expect_alive(connection)


def paths_of_all_kinds():
    connection = Connection()
    for path in ('/v1/"%0a\\', "/" + "%" * 3_000, "/\u00e4", "//v1/ping", "/v1/ping/../ping"):
        for stream in (connection.request("GET", path, end=True), connection.connect(path=path)):
            check_equal(stream.status, 404, path)
            check("error" in json.loads(stream.body()), "the answer is JSON")


# ndjson.


def refused_line(line, code, end=False):
    connection = Connection()
    session, _ = LineSession.begin(connection, setting("ALICE"))
    session.stream.send(line, end)
    check_equal(session.rest()[-1]["goodbye"]["code"], code, "goodbye")
    expect_alive(connection)


def line_that_is_no_json():
    refused_line(b"{bad\n", 4500)


def line_that_is_cut_off():
    refused_line(b'{"id":7,"pi', 4500, end=True)


def line_above_the_limit():
    refused_line(b'{"ping":{},"x":"' + b"x" * 70_000 + b'"}\n', 4503)


def line_that_never_ends():
    connection = Connection()
    session, _ = LineSession.begin(connection, setting("ALICE"))
    try:
        for _ in range(100):
            session.stream.send(b"x" * 16_000)
    except Exception:  # the stream is closed under our hands
        pass
    session.stream.end()
    session.take_lines()
    check_equal(session.frames[-1]["goodbye"]["code"], 4503, "goodbye")
    expect_alive(connection)


def before_hello():
    connection = Connection()
    session = LineSession(connection)
    session.send(id=1, ping={})
    check_equal(session.rest()[-1]["goodbye"]["code"], 4501, "goodbye")
    expect_alive(connection)


# Those who do not read.


def publish(session, room, count):
    """One after the other: the publisher keeps up with what it causes."""
    for number in range(count):
        reply = session.ask(publish={"room": room, "key": f"k{number}", "text": "x" * 16_000})
        check("published" in reply, f"{reply}")


def stream_that_is_not_read():
    """Its window stays shut: its neighbours on the same connection get everything, and it is ended as a slow consumer."""
    room = setting("ROOM")
    connection = Connection()
    reader, _ = LineSession.begin(connection, setting("BOB"))
    reader.ask(subscribe={"room": room})
    slow, _ = LineSession.begin(connection, setting("ALICE"))
    slow.ask(subscribe={"room": room})
    acknowledge = connection.h2.acknowledge_received_data
    connection.h2.acknowledge_received_data = lambda size, stream: (
        connection.h2.increment_flow_control_window(size) if stream == slow.stream.number else acknowledge(size, stream)
    )
    publish(reader, room, 40)
    for number in range(40):
        check_equal(reader.push("message")["key"], f"k{number}", "the neighbour gets everything")
    check(slow.stream.end() is not None, "the slow stream is reset")
    reader.ask(ping={})
    expect_alive(connection)


def connection_that_is_not_read():
    room = setting("ROOM")
    writer, _ = LineSession.begin(Connection(), setting("BOB"))
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.settimeout(DEADLINE)
    narrow.connect(address())
    # A window as wide as can be: what holds the server back is TCP alone.
    connection = Connection(socket_made=narrow, settings={4: (1 << 31) - 1})
    connection.h2.increment_flow_control_window((1 << 31) - 1 - 65_535)
    slow = [LineSession.begin(connection, setting("ALICE"))[0] for _ in range(4)]
    for session in slow:
        session.ask(subscribe={"room": room})
    before = door_sessions("ndjson")
    publish(writer, room, 400)
    until = time.monotonic() + DEADLINE
    while door_sessions("ndjson") > before - 4:
        check(time.monotonic() < until, "the sessions of those who do not read end")
        writer.ask(ping={})
    writer.ask(ping={})


def finished_request():
    """A stream whose client has said its last, with about 240 KB of answers on their way through a window of 16 KB."""
    room = setting("ROOM")
    publish(LineSession.begin(Connection(), setting("BOB"))[0], room, 12)
    session = LineSession(Connection(settings={4: 16_384}))
    session.send(id=1, hello={"token": setting("ALICE")})
    for number in (2, 3, 4):
        session.send(id=number, history={"room": room})
    session.stream.finish()
    return session


def answers_that_are_read_slowly():
    """Whoever reads on gets everything, though it takes longer than a close may."""
    session = finished_request()
    while not session.stream.is_over:
        time.sleep(0.4)
        session.stream.connection.pump()
    check_equal(sorted(frame["id"] for frame in session.rest()), [1, 2, 3, 4], "answers")


def answers_that_are_not_read():
    session = finished_request()
    session.stream.connection.h2.acknowledge_received_data = lambda size, stream: None
    check_equal(session.stream.end(), 8, "the stream is cancelled: its answer is not whole")
    expect_alive(session.stream.connection)


# Silence.


def connection_without_streams():
    """Asked to go, politely."""
    check_equal(Connection().wait_for_close(), 0, "the code of GOAWAY")


# WebSockets.


def websocket_without_a_close():
    connection = Connection()
    stream = connection.connect()
    check_equal(stream.status, 200, "the extended CONNECT")
    check(door_sessions("websocket_h2") >= 1, "a session")
    stream.finish()
    check_equal(stream.end(), 8, "the stream is reset: a lost connection, not a close")
    expect_alive(connection)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("all checks passed")
