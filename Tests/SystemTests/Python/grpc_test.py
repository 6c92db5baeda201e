"""Speaks gRPC with Google's library and code generated from our .proto.

Run by DoorTests.swift, which tells of the mesh in the environment. Exits with 1 at the first thing that is wrong.
"""

import asyncio

import grpc
from grpc_client import Session, relay, service
from relay_under_test import DEADLINE, address, authority, check, check_equal, door_sessions, is_encrypted, setting

ROOM = setting("ROOM")
CALLS = 100


def channel(name="EU", **options):
    host, port = address(name)
    if not is_encrypted():
        return grpc.aio.insecure_channel(f"{host}:{port}", **options)
    with open(authority(), "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.aio.secure_channel(f"{host}:{port}", credentials, **options)


async def talk():
    """Two users in two regions."""
    async with channel("EU") as here, channel("US") as there:
        alice, welcome = await Session.begin(here, setting("ALICE"))
        check_equal((welcome.user, welcome.region, welcome.max_frame_bytes), (setting("ALICE_USER"), "eu-west", 65536), "welcome")
        bob, _ = await Session.begin(there, setting("BOB"))
        first = (await bob.ask(subscribe=relay.Subscribe(room=ROOM, presence=True))).subscribed
        check_equal((first.member_count, first.head.seq), (1, 0), "subscribed")
        await alice.ask(subscribe=relay.Subscribe(room=ROOM))
        joined = await bob.push("room_presence", lambda body: len(body.joined) > 0)
        check_equal([member.user for member in joined.joined], [setting("ALICE_USER")], "joined")
        published = (await alice.ask(publish=relay.Publish(room=ROOM, key="k1", text="grüße 😀"))).published
        for session in (alice, bob):
            message = await session.push("message")
            check_equal((message.text, message.position, message.key), ("grüße 😀", published.position, "k1"), "message")
        refused = (await alice.ask(subscribe=relay.Subscribe(room="$system"))).error
        check_equal(refused.code, relay.INVALID_ARGUMENT, "a wrong room is an error of its own")
        check(door_sessions("grpc") >= 1, "the relay counts the session at this door")
        await alice.finish()
        left = await bob.push("room_presence", lambda body: len(body.left) > 0)
        check_equal(list(left.left), [setting("ALICE_USER")], "left, at once: END_STREAM is a clean end")
        await bob.send(goodbye=relay.ClientGoodbye())
        await bob.expect_status(grpc.StatusCode.OK, "", "goodbye")


async def refusals():
    async with channel() as here:
        session = Session(here)
        refused = await session.ask(hello=relay.Hello(token="nonsense"))
        check_equal(refused.error.code, relay.UNAUTHENTICATED, "a bad token")
        await session.expect_status(grpc.StatusCode.UNAUTHENTICATED, "token", "a bad token")
        check_equal(session.frames[-1].goodbye.code, 4501, "goodbye before the status")

        session = Session(here)
        await session.send(id=1, ping=relay.Ping())
        await session.expect_status(grpc.StatusCode.UNAUTHENTICATED, "hello comes first", "before hello")

        session, _ = await Session.begin(here, setting("ALICE"))
        await session.send(id=9, publish=relay.Publish(room=ROOM, text="x" * 70_000))
        await session.expect_status(grpc.StatusCode.INVALID_ARGUMENT, "maxFrameBytes", "a frame above the limit")
        check_equal(session.frames[-1].goodbye.code, 4503, "goodbye before the status")

        session, _ = await Session.begin(here, setting("ALICE"))
        await session.send(id=9, publish=relay.Publish(room=ROOM, text="x" * 600_000))
        await session.expect_status(grpc.StatusCode.INVALID_ARGUMENT, "", "a frame far above the limit")

        session = Session(here, compression=grpc.Compression.Gzip)
        await session.expect_status(grpc.StatusCode.UNIMPLEMENTED, "gzip", "compression that was not agreed on")


async def methods():
    """What the service does not have."""
    async with channel() as here:
        for method in ("/heliograph.v1.Relay/Fly", "/heliograph.v2.Relay/Connect", "/grpc.health.v1.Health/Check"):
            try:
                await here.unary_unary(method)(b"", timeout=DEADLINE)
                raise AssertionError(f"{method} was answered")
            except grpc.aio.AioRpcError as error:
                check_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, method)
                check(method in error.details(), f"the method is named: {error.details()}")


async def deadline():
    """A deadline ends the call with DEADLINE_EXCEEDED, whoever notices first; the session leaves."""
    async with channel() as here, channel("US") as there:
        bob, _ = await Session.begin(there, setting("BOB"))
        await bob.ask(subscribe=relay.Subscribe(room=ROOM + "-deadline", presence=True))
        alice, _ = await Session.begin(here, setting("ALICE"), timeout=1.5)
        await alice.ask(subscribe=relay.Subscribe(room=ROOM + "-deadline"))
        await bob.push("room_presence", lambda body: len(body.joined) > 0)
        await alice.expect_status(grpc.StatusCode.DEADLINE_EXCEEDED, "", "a deadline")
        await bob.push("room_presence", lambda body: list(body.left) == [setting("ALICE_USER")])
        await bob.finish()


async def cancel():
    """A call that is cancelled is a session that has left."""
    async with channel() as here, channel("US") as there:
        bob, _ = await Session.begin(there, setting("BOB"))
        await bob.ask(subscribe=relay.Subscribe(room=ROOM + "-cancel", presence=True))
        alice, _ = await Session.begin(here, setting("ALICE"))
        await alice.ask(subscribe=relay.Subscribe(room=ROOM + "-cancel"))
        await bob.push("room_presence", lambda body: len(body.joined) > 0)
        alice.call.cancel()
        await bob.push("room_presence", lambda body: list(body.left) == [setting("ALICE_USER")])
        await bob.finish()


async def many_calls():
    """Each call on one connection is a session of its own, and all of them hear everything."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with channel(options=options) as here:
        sessions = [session for session, _ in await asyncio.gather(*(Session.begin(here, setting("ALICE")) for _ in range(CALLS)))]
        room = ROOM + "-many"
        await asyncio.gather(*(session.ask(subscribe=relay.Subscribe(room=room)) for session in sessions))
        check(door_sessions("grpc") >= CALLS, "the relay counts them")

        async def publish(number, session):
            for turn in range(3):
                await session.ask(publish=relay.Publish(room=room, key=f"{number}-{turn}", text="x" * 1000))

        await asyncio.gather(*(publish(number, session) for number, session in enumerate(sessions[:10])))
        orders = []
        for session in sessions:
            orders.append([(await session.push("message")).key for _ in range(30)])
        check(all(order == orders[0] for order in orders) and len(set(orders[0])) == 30, "one order for all, and nothing twice")
        await asyncio.gather(*(session.finish() for session in sessions))


async def main():
    for part in (talk, refusals, methods, deadline, cancel, many_calls):
        try:
            await asyncio.wait_for(part(), 4 * DEADLINE)
        except BaseException as error:
            raise AssertionError(f"in {part.__name__}") from error
    print("all checks passed")


asyncio.run(main())
