"""Sits on one node through every door of HTTP/2, says `ready`, and is told to leave.

Run by DoorDrainTests.swift, which stops the node. Exits with 1 at the first thing that is wrong.
"""

import asyncio

import grpc
from grpc_client import Session
from http2_client import Connection, LineSession
from relay_under_test import address, check, check_equal, setting


def expect_goodbye(goodbye):
    check_equal((goodbye["code"], goodbye["reconnect"]), (4000, True), "goodbye")
    check_equal(len(goodbye["edges"]), 2, "where else to go")


async def main():
    host, port = address()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call, _ = await Session.begin(channel, setting("ALICE"))
        connection = Connection()
        lines = [LineSession.begin(connection, setting("ALICE"))[0] for _ in range(3)]
        idle = Connection()
        print("ready", flush=True)
        goodbye = await call.push("goodbye")
        check_equal((goodbye.code, goodbye.reconnect, len(goodbye.edges)), (4000, True, 2), "goodbye")
        await call.expect_status(grpc.StatusCode.UNAVAILABLE, "stopping", "a call at the end of its node")
    for session in lines:
        expect_goodbye(session.rest()[-1]["goodbye"])
    for each in (connection, idle):
        check_equal(each.wait_for_close(), 0, "GOAWAY with NO_ERROR, and the connection ends with its last stream")
    print("all checks passed")


asyncio.run(main())
