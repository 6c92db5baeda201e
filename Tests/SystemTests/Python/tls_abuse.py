"""What can be done to a TLS port, one case a run: `tls_abuse.py CASE`.

Run by EncryptedDoorTests.swift, which counts the drops. Exits with 1 when the server's answer is not what it should be.
"""

import os
import socket
import ssl
import sys

from relay_under_test import address, answer_of, check, check_equal, dial, metrics, open_socket, trust

PING = b"GET /v1/ping HTTP/1.1\r\nhost: relay\r\n\r\n"
ALERT = 21


class Handshake:
    """TLS by hand: what leaves is ours to cut."""

    def __init__(self, *protocols):
        self.plain = dial()
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust(*protocols).wrap_bio(self.incoming, self.outgoing, server_hostname=address()[0])

    def run(self, step, piece):
        """Repeats a step until it is done, sending at most `piece` bytes at a time."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                result = None
            data = self.outgoing.read()
            for start in range(0, len(data), piece):
                self.plain.sendall(data[start : start + piece])
            if result is not None:
                return result
            received = self.plain.recv(1 << 16)
            check(received, "the server has closed")
            self.incoming.write(received)

    def shake(self, piece=1 << 14):
        self.run(lambda: self.tls.do_handshake() or True, piece)
        return self


def records_cut_anywhere():
    for piece in (1, 2, 3, 7, 100):
        handshake = Handshake("http/1.1").shake(piece)
        handshake.run(lambda: handshake.tls.write(PING), piece)
        check(handshake.run(lambda: handshake.tls.read(1 << 14), piece).startswith(b"HTTP/1.1 204"), f"records in pieces of {piece}")


def resumption():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trust("http/1.1")
        context.minimum_version = context.maximum_version = version
        ticket = None
        before = metrics()["heliograph_tls_resumptions_total"]
        for is_second in (False, True):
            with context.wrap_socket(dial(), server_hostname=address()[0], session=ticket) as connection:
                check_equal(connection.session_reused, is_second, f"a session of {version.name} resumed")
                connection.sendall(PING)
                check(connection.recv(1 << 14).startswith(b"HTTP/1.1 204"), "an answer")
                ticket = connection.session
        check_equal(metrics()["heliograph_tls_resumptions_total"], before + 1, "the relay counts it")


def protocols():
    check_equal(open_socket(protocol="h2").version(), "TLSv1.3", "the newest version")
    open_socket(protocol="http/1.1")
    with trust().wrap_socket(dial(), server_hostname=address()[0]) as connection:
        check_equal(connection.selected_alpn_protocol(), None, "nothing offered, nothing chosen")
        connection.sendall(PING)
        check(connection.recv(1 << 14).startswith(b"HTTP/1.1 204"), "without ALPN it is HTTP/1.1")
    with trust("h2", "http/1.1").wrap_socket(dial(), server_hostname=address()[0]) as connection:
        check_equal(connection.selected_alpn_protocol(), "h2", "HTTP/2 where both can")


def foreign_protocol():
    try:
        Handshake("spdy/3").shake()
        raise AssertionError("a foreign protocol was agreed on")
    except ssl.SSLError as error:
        check("no application protocol" in str(error), f"an alert that says why: {error}")


def plain_http():
    connection = dial()
    connection.sendall(PING)
    answer = answer_of(connection)
    check(answer.startswith(b"HTTP/1.1 400") and b"https" in answer, f"{answer!r}")


def plain_http2():
    connection = dial()
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    check(answer_of(connection).endswith(b"\0\0\x08\x07\0\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x0c"), "GOAWAY with INADEQUATE_SECURITY")


def garbage_for_a_hello():
    connection = dial()
    connection.sendall(b"\x16\x03\x01\x40\x00" + os.urandom(0x4000))
    check_equal(answer_of(connection)[:1], bytes([ALERT]), "an alert")


def endless_hello():
    """A handshake message that promises 16 MiB."""
    connection = dial()
    try:
        connection.sendall(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"\0" * 0x3FFC)
        for _ in range(1_000):
            connection.sendall(b"\x16\x03\x01\x40\x00" + b"\0" * 0x4000)
    except OSError:
        pass
    answer_of(connection)


def garbage_after_the_handshake():
    handshake = Handshake("http/1.1").shake()
    handshake.plain.sendall(b"\x17\x03\x03\x01\x00" + os.urandom(256))
    check_equal(answer_of(handshake.plain)[-24:][:1], bytes([0x17]), "an alert, encrypted as all is by now")


def handshake_held_open():
    connection = dial()
    connection.sendall(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")
    answer_of(connection)


def handshake_without_a_request():
    connection = open_socket(protocol="h2")
    answer_of(connection)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("all checks passed")
