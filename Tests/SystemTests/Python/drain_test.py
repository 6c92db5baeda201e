"""Sits on one node through the doors of HTTP/2, says `ready`, and is told to leave.

Run by DoorTests.swift, which stops the node. Exits with 1 at the first thing that is wrong. The h2 library takes the first GOAWAY for the
end of everything, so the streams are watched frame by frame.
"""

import asyncio
import json

import grpc
from grpc_client import Session
from http2_raw import STREAM, RawConnection, headers
from hyperframe.frame import DataFrame
from relay_under_test import address, check_equal, setting


class Lines:
    def __init__(self, connection, stream):
        self.connection, self.stream = connection, stream
        connection.send(headers(stream, STREAM))
        hello = json.dumps({"id": 1, "hello": {"token": setting("ALICE")}}).encode() + b"\n"
        connection.send(DataFrame(stream, hello))
        connection.wait(lambda: any("welcome" in frame for frame in self.frames()), "a welcome")

    def frames(self):
        data = b"".join(frame.data for frame in self.connection.frames_on(self.stream, DataFrame))
        return [json.loads(line) for line in data.split(b"\n")[:-1] if line]

    def has_ended(self):
        return any("END_STREAM" in frame.flags for frame in self.connection.frames_on(self.stream, DataFrame))

    def expect_goodbye(self):
        self.connection.wait(self.has_ended, "the end of the stream")
        goodbye = self.frames()[-1]["goodbye"]
        check_equal((goodbye["code"], goodbye["reconnect"], len(goodbye["edges"])), (4000, True, 2), "goodbye")
        self.connection.send(DataFrame(self.stream, b"", flags=["END_STREAM"]))


async def main():
    host, port = address()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call, _ = await Session.begin(channel, setting("ALICE"))
        connection, idle = RawConnection(), RawConnection()
        streams = [Lines(connection, stream) for stream in (1, 3, 5)]
        print("ready", flush=True)
        goodbye = await call.push("goodbye")
        check_equal((goodbye.code, goodbye.reconnect, len(goodbye.edges)), (4000, True, 2), "goodbye")
        await call.expect_status(grpc.StatusCode.UNAVAILABLE, "stopping", "a call at the end of its node")
    for stream in streams:
        stream.expect_goodbye()
    for each in (connection, idle):
        check_equal(each.goaway(), 0, "GOAWAY with NO_ERROR, and the connection ends with its last stream")
    print("all checks passed")


asyncio.run(main())
