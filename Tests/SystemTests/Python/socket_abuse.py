"""Connections that go wrong before or beside HTTP/2, one case a run: `socket_abuse.py CASE`.

Run by AbuseTests.swift, which counts the drops and watches a bystander. Exits with 1 when the server's answer is not what it should be.
"""

import asyncio
import sys

import websockets
from relay_under_test import DEADLINE, answer_of, check, check_equal, dial, setting

# More than the suite allows an address; its bystander has one.
CONNECTIONS = 60


def send_until_refused(connection, piece, count):
    try:
        for _ in range(count):
            connection.sendall(piece)
    except OSError:
        pass


# HTTP/1.1.


def half_a_preface():
    connection = dial()
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\n")
    check_equal(answer_of(connection), b"", "closed without an answer")


def preface_alone():
    """Whoever says no SETTINGS after the preface is not waited for."""
    connection = dial()
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    answer_of(connection)


def endless_header():
    connection = dial()
    connection.sendall(b"GET /v1/ping HTTP/1.1\r\nhost: relay\r\nx: ")
    send_until_refused(connection, b"y" * 4_096, 1_000)
    answer = answer_of(connection)
    check(answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), f"{answer!r}")


def endless_headers():
    connection = dial()
    connection.sendall(b"GET /v1/ping HTTP/1.1\r\nhost: relay\r\n")
    send_until_refused(connection, b"x: y\r\n" * 100, 1_000)
    answer = answer_of(connection)
    check(answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), f"{answer!r}")


def endless_body():
    connection = dial()
    connection.sendall(b"POST /v1/ping HTTP/1.1\r\nhost: relay\r\ncontent-length: 100000000\r\n\r\n")
    send_until_refused(connection, b"z" * 4_096, 1_000)
    answer_of(connection)


def no_http():
    connection = dial()
    connection.sendall(b"\x00\x01\x02 what is this\r\n\r\n")
    answer = answer_of(connection)
    check(answer == b"" or answer.startswith(b"HTTP/1.1 400"), f"{answer!r}")


def stream_over_http1():
    """Streams need HTTP/2, and the answer says so."""
    connection = dial()
    connection.sendall(b"POST /v1/stream HTTP/1.1\r\nhost: relay\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    check(answer_of(connection).startswith(b"HTTP/1.1 505"), "505")


def tls_to_a_port_without():
    connection = dial()
    connection.sendall(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 158)
    check_equal(answer_of(connection), bytes([21, 3, 1, 0, 2, 2, 40]), "an alert that TLS understands")


# Many.


def connections_of_an_address():
    connections = [dial() for _ in range(CONNECTIONS)]
    served = 0
    for connection in connections:
        try:
            connection.sendall(b"GET /v1/ping HTTP/1.1\r\nhost: relay\r\n\r\n")
            served += connection.recv(1 << 16).startswith(b"HTTP/1.1 204")
        except OSError:
            pass
    check(20 < served <= 40, f"{served} connections are served")
    for connection in connections:
        connection.close()


# Compression.


async def inflate(size, code):
    """A message whose inflated size is above what a session may send; on the wire it is a thousandth of it."""
    url = setting("EU").replace("http", "ws", 1) + "/v1/ws"
    async with websockets.connect(url, subprotocols=["heliograph.v1.json"], compression="deflate", max_size=None) as client:
        try:
            await client.send(" " * size)
            while True:
                await asyncio.wait_for(client.recv(), DEADLINE)
        except websockets.ConnectionClosed as closed:
            check_equal(closed.rcvd and closed.rcvd.code, code, "the code of the close")


def deflate_bomb():
    asyncio.run(inflate(100 << 20, 1009))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("all checks passed")
