"""A session over gRPC for the scripts here: what is received is kept until somebody asks for it."""

import asyncio

import grpc
from grpc_stubs import generate
from relay_under_test import DEADLINE, check, check_equal

relay, service = generate()


class Session:
    def __init__(self, channel, **options):
        self.call = service.RelayStub(channel).Connect(**options)
        self.frames = []
        self.next_id = 1

    @classmethod
    async def begin(cls, channel, token, **options):
        session = cls(channel, **options)
        reply = await session.ask(hello=relay.Hello(token=token))
        check(reply.HasField("welcome"), f"no welcome: {reply}")
        return session, reply.welcome

    async def send(self, **frame):
        await self.call.write(relay.ClientFrame(**frame))

    async def ask(self, **frame):
        number = self.next_id
        self.next_id += 1
        await self.send(id=number, **frame)
        return await self.find(lambda reply: reply.id == number)

    async def find(self, matches):
        """Takes the first frame that matches out of what has come or comes."""
        while True:
            for frame in self.frames:
                if matches(frame):
                    self.frames.remove(frame)
                    return frame
            frame = await asyncio.wait_for(self.call.read(), DEADLINE)
            check(frame is not grpc.aio.EOF, "the call ended instead")
            self.frames.append(frame)

    async def push(self, kind, matches=lambda body: True):
        frame = await self.find(lambda frame: frame.id == 0 and frame.HasField(kind) and matches(getattr(frame, kind)))
        return getattr(frame, kind)

    async def status(self):
        """Reads to the end, and returns the code and the text that it came with."""
        try:
            while (frame := await asyncio.wait_for(self.call.read(), DEADLINE)) is not grpc.aio.EOF:
                self.frames.append(frame)
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
        code = await asyncio.wait_for(self.call.code(), DEADLINE)
        return code, await self.call.details()

    async def expect_status(self, code, text, what):
        found, details = await self.status()
        check_equal(found, code, what)
        check(text in (details or ""), f"{what}: {details!r} does not say {text!r}")

    async def finish(self):
        """The client has nothing more to say: a clean end."""
        await self.call.done_writing()
        await self.expect_status(grpc.StatusCode.OK, "", "a call that its client ends")
