"""Bytes that no HTTP/2 client should send, one case a run: `http2_abuse.py CASE`.

Run by AbuseTests.swift, which counts the drops and watches a bystander. Exits with 1 when the server's answer is not what it should be.
"""

import sys

from http2_raw import (
    COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GET, PROTOCOL_ERROR, STREAM, STREAM_CLOSED, RawConnection, headers,
)
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame,
)
from relay_under_test import check, check_equal

MANY = 20_000


def expect_goaway(connection, code):
    check_equal(connection.goaway(), code, "the code of GOAWAY")


def flood(make, code=ENHANCE_YOUR_CALM, opens=False):
    connection = RawConnection()
    if opens:
        connection.send(headers(1, STREAM))
    connection.flood(make, MANY)
    expect_goaway(connection, code)


# Floods.


def rapid_reset():
    """CVE-2023-44487: streams that are opened and reset at once cost the server work that the limit of open streams does not see."""
    flood(lambda n: [headers(2 * n + 1, STREAM), RstStreamFrame(2 * n + 1, 8)])


def made_to_reset():
    """CVE-2025-8671: the same with resets that the server has to send: each request here breaks a rule of its own stream."""
    connection = RawConnection()
    encoder = Encoder()
    for start in range(1, MANY, 200):
        streams = range(start, start + 200, 2)
        connection.send(*(headers(stream, [(":method", "GET")], "END_STREAM", encoder=encoder) for stream in streams))
        connection.wait(lambda: connection.is_closed or connection.frames_on(streams[-1], RstStreamFrame), "a reset of each")
        if connection.is_closed:
            break
    expect_goaway(connection, ENHANCE_YOUR_CALM)


def ping_flood():
    """CVE-2019-9512."""
    flood(lambda n: [PingFrame(opaque_data=b"12345678")])


def settings_flood():
    """CVE-2019-9515."""
    flood(lambda n: [SettingsFrame(settings={4: 65_535})])


def priority_flood():
    flood(lambda n: [PriorityFrame(2 * n + 1, depends_on=0, stream_weight=1)])


def empty_data_flood():
    """CVE-2019-9518."""
    flood(lambda n: [DataFrame(1, b"")], opens=True)


def window_update_flood():
    flood(lambda n: [WindowUpdateFrame(0, 1)])


# Headers.


def continuation_flood():
    """CVE-2024-27316: a header block that never ends."""
    connection = RawConnection()
    block = Encoder().encode(STREAM)
    connection.send(HeadersFrame(1, data=block))
    connection.flood(lambda n: [ContinuationFrame(1, data=Encoder().encode([(f"x-{n}", "y")]))], MANY)
    expect_goaway(connection, ENHANCE_YOUR_CALM)


def hpack_bomb():
    """CVE-2016-6581: a long field goes into the table once, and is named with one byte as often as one likes."""
    connection = RawConnection()
    encoder = Encoder()
    first = encoder.encode([*GET, ("x-bomb", "b" * 3_500)])
    again = encoder.encode([("x-bomb", "b" * 3_500)])
    check(len(again) < 4, "one index names the long field")
    connection.send(HeadersFrame(1, data=first + again * 10_000, flags=["END_HEADERS"]))
    expect_goaway(connection, ENHANCE_YOUR_CALM)


def many_headers():
    connection = RawConnection()
    connection.send(headers(1, [*GET, *((f"x-{n}", "y") for n in range(200))], "END_STREAM"))
    expect_goaway(connection, ENHANCE_YOUR_CALM)


def long_header():
    connection = RawConnection()
    block = Encoder().encode([*GET, ("x-long", "~" * 20_000)], huffman=False)
    connection.send(HeadersFrame(1, data=block[:16_000], flags=["END_STREAM"]))
    connection.send(ContinuationFrame(1, data=block[16_000:], flags=["END_HEADERS"]))
    expect_goaway(connection, ENHANCE_YOUR_CALM)


def broken_hpack():
    connection = RawConnection()
    connection.send(HeadersFrame(1, data=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", flags=["END_HEADERS"]))
    expect_goaway(connection, COMPRESSION_ERROR)


# Frames out of place.


def zero_window_update():
    connection = RawConnection()
    connection.write(b"\0\0\4\x08\0\0\0\0\0" + b"\0\0\0\0")
    expect_goaway(connection, PROTOCOL_ERROR)


def window_overflow():
    connection = RawConnection()
    connection.send(WindowUpdateFrame(0, (1 << 31) - 1))
    expect_goaway(connection, FLOW_CONTROL_ERROR)


def data_after_end():
    connection = RawConnection()
    connection.send(headers(1, STREAM, "END_STREAM"), DataFrame(1, b'{"id":1,"ping":{}}\n'))
    expect_goaway(connection, STREAM_CLOSED)


def data_on_idle():
    connection = RawConnection()
    connection.send(DataFrame(99, b"x"))
    expect_goaway(connection, PROTOCOL_ERROR)


def even_stream():
    connection = RawConnection()
    connection.send(headers(2, GET, "END_STREAM"))
    expect_goaway(connection, PROTOCOL_ERROR)


def frame_above_its_size():
    connection = RawConnection()
    connection.send(headers(1, STREAM))
    connection.send(DataFrame(1, b"x" * 16_385))
    expect_goaway(connection, FRAME_SIZE_ERROR)


def too_many_streams():
    """More than our settings allow, from a peer that has acknowledged them."""
    connection = RawConnection()
    connection.flood(lambda n: [headers(2 * n + 1, STREAM)], 300)
    expect_goaway(connection, PROTOCOL_ERROR)


def interrupted_headers():
    """Between HEADERS and its CONTINUATION there may be nothing."""
    connection = RawConnection()
    connection.send(HeadersFrame(1, data=Encoder().encode(GET)), PingFrame(opaque_data=b"12345678"))
    expect_goaway(connection, PROTOCOL_ERROR)


def request_without_a_path():
    """An error of the stream; the connection goes on."""
    connection = RawConnection()
    connection.send(headers(1, [field for field in GET if field[0] != ":path"], "END_STREAM"))
    check_equal(connection.reset_code(1), PROTOCOL_ERROR, "the code of the reset")
    connection.expect_alive(3)


def connection_header():
    """Header fields of HTTP/1.1 have no place in HTTP/2 (RFC 9113, section 8.2.2)."""
    connection = RawConnection()
    connection.send(headers(1, [*GET, ("connection", "close")], "END_STREAM"))
    check_equal(connection.reset_code(1), PROTOCOL_ERROR, "the code of the reset")
    connection.expect_alive(3)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("all checks passed")
