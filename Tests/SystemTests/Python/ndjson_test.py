"""Speaks ndjson on HTTP/2 streams with two libraries and curl, and asks the plain questions over HTTP/2.

Run by DoorTests.swift, which tells of the mesh in the environment. Exits with 1 at the first thing that is wrong.
"""

import json
import subprocess

import httpx
from http2_client import Connection, LineSession
from relay_under_test import DEADLINE, authority, check, check_equal, door_sessions, is_encrypted, setting, trust

ROOM = setting("ROOM")
STREAMS = 64


def http_client():
    verify = trust() if is_encrypted() else True
    return httpx.Client(http1=False, http2=True, base_url=setting("EU"), timeout=DEADLINE, verify=verify)


def questions():
    with http_client() as client:
        ping = client.get("/v1/ping")
        check_equal((ping.http_version, ping.status_code, ping.content), ("HTTP/2", 204, b""), "ping")
        check_equal((ping.headers["heliograph-region"], ping.headers["access-control-allow-origin"]), ("eu-west", "*"), "ping")
        route = client.get("/v1/route", params={"user": "ä/b?&=#%+"})
        check_equal((route.status_code, route.headers["content-type"]), (200, "application/json"), "route")
        check_equal((route.json()["room"], len(route.json()["edges"])), ("@ä/b?&=#%+", 3), "route")
        check_equal(client.head("/v1/route", params={"user": "a"}).content, b"", "HEAD has no body")
        check_equal(client.get("/v1/route").status_code, 400, "a wrong question")
        check_equal(client.get("/v1/nothing").status_code, 404, "another path")
        check_equal(client.get("/v1/ws").status_code, 400, "a GET of the WebSocket's path")
        check_equal(client.get("/v1/stream").status_code, 405, "a GET of the stream's path")
        check_equal(client.post("/v1/stream", content="{}").status_code, 415, "a POST without the content type")


def lines(*frames):
    return "".join(json.dumps(frame) + "\n" for frame in frames)


def conversation_of(user, room):
    publishes = [{"id": 10 + n, "publish": {"room": room, "key": f"k{n}", "text": f"{n}"}} for n in range(20)]
    return lines({"id": 1, "hello": {"token": setting(user)}}, {"id": 2, "subscribe": {"room": room}}, *publishes, {"id": 3, "ping": {}})


def check_piped(text, what):
    """All answers of a request that ended before the first of them, then a clean end."""
    frames = [json.loads(line) for line in text.split("\n") if line]
    answers = {frame["id"]: frame for frame in frames if "id" in frame}
    check_equal(sorted(answers), [1, 2, 3, *range(10, 30)], f"{what}: every request is answered")
    check("welcome" in answers[1] and "subscribed" in answers[2] and "pong" in answers[3], f"{what}: {answers}")
    check(all("published" in answers[n] for n in range(10, 30)), f"{what}: publishes under way at the end are answered")


def piped():
    with http_client() as client:
        body = conversation_of("ALICE", ROOM + "-httpx")
        answer = client.post("/v1/stream", content=body, headers={"content-type": "application/x-ndjson"})
        check_equal((answer.status_code, answer.headers["content-type"]), (200, "application/x-ndjson"), "the stream's answer")
        check_piped(answer.text, "httpx")
        without_feed = client.post("/v1/stream", content=body.rstrip("\n"), headers={"content-type": "application/x-ndjson"})
        check_piped(without_feed.text, "a last line without its line feed")
    version = ["--http2", "--cacert", authority()] if is_encrypted() else ["--http2-prior-knowledge"]
    command = ["curl", "--silent", "--show-error", "--fail", *version, "--max-time", str(DEADLINE)]
    command += ["--header", "content-type: application/x-ndjson", "--data-binary", "@-", setting("EU") + "/v1/stream"]
    curl = subprocess.run(command, input=conversation_of("BOB", ROOM + "-curl"), capture_output=True, text=True, timeout=2 * DEADLINE)
    check_equal(curl.returncode, 0, f"curl: {curl.stderr}")
    check_piped(curl.stdout, "curl")


def talk():
    """Two users on two streams of one connection; each stream is a session."""
    connection = Connection()
    alice, welcome = LineSession.begin(connection, setting("ALICE"))
    check_equal((welcome["user"], welcome["region"]), (setting("ALICE_USER"), "eu-west"), "welcome")
    bob, _ = LineSession.begin(connection, setting("BOB"))
    check(door_sessions("ndjson") >= 2, "the relay counts the sessions at this door")
    bob.ask(subscribe={"room": ROOM, "presence": True, "typing": True})
    alice.ask(subscribe={"room": ROOM})
    check_equal([member["user"] for member in bob.push("roomPresence", lambda body: body.get("joined"))["joined"]], [setting("ALICE_USER")], "joined")
    published = alice.ask(publish={"room": ROOM, "key": "k1", "text": "grüße\n😀"})["published"]
    for session in (alice, bob):
        message = session.push("message")
        check_equal((message["text"], message["position"]), ("grüße\n😀", published["position"]), "message")
    # Cut anywhere, and several in one piece.
    text = lines({"id": 90, "ping": {}}).encode()
    for byte in text:
        alice.stream.send(bytes([byte]))
    alice.find(lambda frame: frame.get("id") == 90)
    alice.stream.send(b"\n \r\n" + lines({"id": 91, "ping": {}}, {"id": 92, "ping": {}}).encode())
    for number in (91, 92):
        alice.find(lambda frame: frame.get("id") == number)
    alice.stream.finish()
    check_equal(alice.rest(), [], "END_STREAM is a clean end, and the server ends its half")
    check_equal(bob.push("roomPresence", lambda body: body.get("left"))["left"], [setting("ALICE_USER")], "left")
    bob.send(goodbye={})
    check_equal(bob.rest(), [], "goodbye")
    connection.close()


def many_streams():
    connection = Connection()
    room = ROOM + "-many"
    sessions = [LineSession.begin(connection, setting("ALICE"))[0] for _ in range(STREAMS)]
    for session in sessions:
        session.ask(subscribe={"room": room})
    for number in range(20):
        sessions[number].ask(publish={"room": room, "key": f"{number}", "text": "x" * 1000})
    for session in sessions:
        check_equal([session.push("message")["key"] for _ in range(20)], [f"{n}" for n in range(20)], "one order for all")
    for session in sessions:
        session.stream.finish()
        session.rest()
    connection.close()


for part in (questions, piped, talk, many_streams):
    try:
        part()
    except BaseException as error:
        raise AssertionError(f"in {part.__name__}") from error
print("all checks passed")
