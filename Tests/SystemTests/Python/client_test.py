"""Speaks heliograph.v1.json with a WebSocket library that knows nothing of Heliograph.

Run by CommandTests.swift, which tells of the mesh in the environment. Exits with 1 at the first thing that is wrong.
"""

import asyncio
import json

import websockets
from relay_under_test import DEADLINE, check, check_equal, is_encrypted, setting, trust

EU, US = (setting(name).replace("http", "ws", 1) + "/v1/ws" for name in ("EU", "US"))
ALICE, BOB, ROOM = (setting(name) for name in ("ALICE", "BOB", "ROOM"))
# "deflate", or "none".
COMPRESSION = setting("COMPRESSION")


def connect(url, subprotocols):
    compression = COMPRESSION if COMPRESSION != "none" else None
    context = trust("http/1.1") if is_encrypted() else None
    return websockets.connect(url, subprotocols=subprotocols, compression=compression, ssl=context)


class Client:
    """Keeps what it receives until somebody asks for it."""

    def __init__(self, socket):
        self.socket = socket
        self.frames = []
        self.next_id = 1

    @classmethod
    async def connect(cls, url, token=None, subprotocols=("heliograph.v1.json",), **hello):
        client = cls(await connect(url, list(subprotocols) or None))
        agreed = [extension.name for extension in client.socket.protocol.extensions]
        check_equal(agreed, ["permessage-deflate"] if COMPRESSION == "deflate" else [], "extensions")
        if token is None:
            return client, None
        return client, await client.ask(hello={"token": token, **hello})

    async def send(self, **frame):
        await self.socket.send(json.dumps(frame))

    async def ask(self, **frame):
        number = self.next_id
        self.next_id += 1
        await self.send(id=number, **frame)
        return await self.find(lambda reply: reply.get("id") == number)

    async def find(self, matches):
        """Takes the first frame that matches out of what has come or comes."""
        while True:
            for frame in self.frames:
                if matches(frame):
                    self.frames.remove(frame)
                    return frame
            payload = await asyncio.wait_for(self.socket.recv(), DEADLINE)
            check(isinstance(payload, str), "frames are text")
            self.frames += [json.loads(line) for line in payload.split("\n") if line]

    async def push(self, kind, matches=lambda body: True):
        return (await self.find(lambda frame: "id" not in frame and kind in frame and matches(frame[kind])))[kind]

    async def close_code(self):
        try:
            while True:
                payload = await asyncio.wait_for(self.socket.recv(), DEADLINE)
                self.frames += [json.loads(line) for line in payload.split("\n") if line]
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def check_keys(body, keys, what):
    check_equal(sorted(body), sorted(keys), f"fields of {what}")


async def talk():
    alice, welcome = await Client.connect(EU, ALICE, device="laptop")
    check_equal(alice.socket.subprotocol, "heliograph.v1.json", "subprotocol")
    body = welcome["welcome"]
    # An absent list is empty.
    check(set(body) - {"resumed"} == {"session", "user", "device", "region", "node", "home", "heartbeatSeconds", "maxFrameBytes"}, f"{body}")
    check_equal((body["user"], body["region"], body["device"]), (setting("ALICE_USER"), "eu-west", "laptop"), "welcome")
    check_equal((body["heartbeatSeconds"], body["maxFrameBytes"]), (25, 65536), "welcome")
    check_keys(body["home"], ["region", "shard"], "home")
    bob, _ = await Client.connect(US, BOB, subprotocols=())
    check_equal(bob.socket.subprotocol, None, "no subprotocol offered, none chosen")

    first = (await bob.ask(subscribe={"room": ROOM, "presence": True, "typing": True}))["subscribed"]
    check_equal((first["recovered"], first["replayed"], first["memberCount"]), (False, 0, 1), "scalars at their default are printed")
    check(isinstance(first["head"]["epoch"], int) and first["head"]["seq"] == 0, "64-bit integers are numbers")
    await alice.ask(subscribe={"room": ROOM})
    joined = await bob.push("roomPresence", lambda body: body.get("joined"))
    member = {"user": setting("ALICE_USER"), "status": "ONLINE", "note": "", "devices": 1}
    check_equal(joined["joined"], [member], "joined")
    check_equal(joined["count"], 2, "count")

    await publish(alice, bob)
    await see(alice, bob)
    await refuse(alice)
    await alice.socket.close()
    left = await bob.push("roomPresence", lambda body: body.get("left"))
    check_equal((left["left"], left["count"]), ([setting("ALICE_USER")], 1), "left")
    await bob.send(goodbye={})
    check_equal(await bob.close_code(), 1000, "goodbye")


async def publish(alice, bob):
    published = (await alice.ask(publish={"room": ROOM, "key": "k1", "text": 'grüße\n"\u2028\U0001f600'}))["published"]
    check_keys(published, ["room", "key", "position", "at", "duplicate", "durability"], "published")
    check_equal((published["duplicate"], published["durability"], published["position"]["seq"]), (False, "HOME", 1), "published")
    for client in (alice, bob):
        message = await client.push("message")
        check_keys(message, ["room", "position", "from", "device", "key", "at", "text", "contentType"], "message")
        check_equal(message["text"], 'grüße\n"\u2028\U0001f600', "text")
        check_equal((message["position"], message["at"]), (published["position"], published["at"]), "position")
    again = (await alice.ask(publish={"room": ROOM, "key": "k1", "text": "other"}))["published"]
    check_equal((again["duplicate"], again["position"]), (True, published["position"]), "the first content wins")
    whisper = (await alice.ask(publish={"room": ROOM, "data": "AAEC/w==", "durability": "EPHEMERAL", "headers": {"a": "b"}}))["published"]
    check("position" not in whisper, "an ephemeral message has no position")
    message = await bob.push("message")
    check_equal((message["data"], message["headers"]), ("AAEC/w==", {"a": "b"}), "ephemeral")
    check("position" not in message and "text" not in message, f"{message}")
    # 64-bit integers are read as text too.
    position = {"epoch": str(published["position"]["epoch"]), "seq": "0"}
    history = (await bob.ask(history={"room": ROOM, "after": position}))["history"]
    check_equal(([m["key"] for m in history["messages"]], history["more"]), (["k1"], False), "history")


async def see(alice, bob):
    await alice.send(typing={"room": ROOM, "active": True})
    check_equal(await bob.push("typing"), {"room": ROOM, "user": setting("ALICE_USER"), "active": True}, "typing")
    await alice.send(typing={"room": ROOM, "active": False})
    check_equal(await bob.push("typing"), {"room": ROOM, "user": setting("ALICE_USER"), "active": False}, "typing stopped")
    check_equal((await alice.ask(presence={"status": "AWAY", "note": "lunch"}))["done"], {}, "done")
    updated = await bob.push("roomPresence", lambda body: body.get("updated"))
    check_equal(updated["updated"], [{"user": setting("ALICE_USER"), "status": "AWAY", "note": "lunch", "devices": 1}], "updated")
    watching = (await bob.ask(watch={"users": [setting("ALICE_USER"), "py-nobody"]}))["watching"]["users"]
    check_equal([(u["user"], u["status"], u["devices"]) for u in watching], [(setting("ALICE_USER"), "AWAY", 1), ("py-nobody", "OFFLINE", 0)], "watching")
    members = (await bob.ask(members={"room": ROOM, "limit": 1}))["members"]
    check_equal(([m["user"] for m in members["members"]], members["count"]), ([setting("ALICE_USER")], 2), "members")
    rest = (await bob.ask(members={"room": ROOM, "after": members["next"]}))["members"]
    check_equal(([m["user"] for m in rest["members"]], rest.get("next", "")), ([setting("BOB_USER")], ""), "the next page")


async def refuse(alice):
    error = (await alice.ask(subscribe={"room": "$system"}))["error"]
    check_keys(error, ["code", "message", "retryAfterMs"], "error")
    check_equal((error["code"], error["retryAfterMs"]), ("INVALID_ARGUMENT", 0), "error")
    check_equal((await alice.ask(ping={}, somethingNew={"x": 1}))["pong"], {}, "unknown fields are ignored")
    await alice.socket.send('{"id":70,"ping":{}}\n{"id":71,"ping":{}}')
    for number in (70, 71):
        await alice.find(lambda frame: frame.get("id") == number)


async def close_codes():
    client, _ = await Client.connect(EU)
    await client.send(id=1, ping={})
    check_equal(await client.close_code(), 4501, "before hello")
    check_equal(client.frames[-1]["goodbye"]["code"], 4501, "goodbye before hello")

    client, refused = await Client.connect(EU, "nonsense")
    check_equal(refused["error"]["code"], "UNAUTHENTICATED", "a bad token")
    check_equal(await client.close_code(), 4501, "a bad token")

    client, _ = await Client.connect(EU, ALICE)
    await client.socket.send("{bad")
    check_equal(await client.close_code(), 4500, "malformed JSON")
    goodbye = client.frames[-1]["goodbye"]
    check_equal((goodbye["code"], goodbye["reconnect"], goodbye["afterMs"]), (4500, False, 0), "goodbye")

    client, _ = await Client.connect(EU, ALICE)
    await client.socket.send(b"{}")
    check_equal(await client.close_code(), 1003, "binary on the JSON subprotocol")

    client, _ = await Client.connect(EU, ALICE)
    await client.socket.send(json.dumps({"publish": {"room": ROOM, "text": "x" * 70000}}))
    check(await client.close_code() in (1009, 4503), "too large")

    try:
        await connect(EU, ["chat"])
        raise AssertionError("an unknown subprotocol was accepted")
    except websockets.InvalidStatus as refusal:
        check_equal(refusal.response.status_code, 400, "an unknown subprotocol")


async def main():
    await talk()
    await close_codes()
    print("all checks passed")


asyncio.run(main())
