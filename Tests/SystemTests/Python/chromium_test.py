"""Opens a WebSocket from a page in a browser.

The page comes over HTTP/2, and Chromium then opens its WebSockets on the same connection (RFC 8441): the relay's own count of sessions by
door proves it. Run by EncryptedDoorTests.swift. Exits with 1 at the first thing that is wrong.
"""

import signal

from relay_under_test import DEADLINE, check, check_equal, door_sessions, setting
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

TALK = """
const [url, token, room, done] = arguments
const socket = new WebSocket(url, ["heliograph.v1.json"])
const seen = {protocol: "", extensions: "", frames: []}
const send = frame => socket.send(JSON.stringify(frame))
window.socket = socket
socket.onopen = () => { seen.protocol = socket.protocol; seen.extensions = socket.extensions; send({id: 1, hello: {token}}) }
socket.onclose = event => done({...seen, closed: event.code})
socket.onmessage = event => {
    for (const line of event.data.split("\\n").filter(line => line)) {
        const frame = JSON.parse(line)
        seen.frames.push(frame)
        if (frame.id === 1) send({id: 2, subscribe: {room}})
        if (frame.id === 2) send({id: 3, publish: {room, key: "k", text: "grüße 😀"}})
        if (frame.message) done(seen)
    }
}
"""
CLOSE = """
const done = arguments[0]
window.socket.onclose = event => done([event.code, event.wasClean])
window.socket.close(1000)
"""


def browser():
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # The certificate is of an authority that the browser does not know; root may not use its sandbox.
    for argument in ("--headless=new", "--no-sandbox", "--ignore-certificate-errors", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    return Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def give_up(signum, frame):
    raise TimeoutError("the browser does not answer")


def talk(page):
    page.set_script_timeout(DEADLINE)
    page.get(setting("EU") + "/v1/route?room=x")
    protocol = page.execute_script("return performance.getEntriesByType('navigation')[0].nextHopProtocol")
    check_equal(protocol, "h2", "the page came over HTTP/2")
    before = door_sessions("websocket_h2")
    url = setting("EU").replace("https:", "wss:") + "/v1/ws"
    seen = page.execute_async_script(TALK, url, setting("ALICE"), setting("ROOM"))
    check("closed" not in seen, f"the socket was closed: {seen}")
    check_equal(seen["protocol"], "heliograph.v1.json", "the subprotocol")
    check("permessage-deflate" in seen["extensions"], "compression")
    message = [frame["message"] for frame in seen["frames"] if "message" in frame][0]
    check_equal((message["text"], message["from"]), ("grüße 😀", setting("ALICE_USER")), "message")
    check_equal(door_sessions("websocket_h2"), before + 1, "the session came over HTTP/2")
    check_equal(page.execute_async_script(CLOSE), [1000, True], "a clean close")


signal.signal(signal.SIGALRM, give_up)
signal.alarm(4 * DEADLINE)
page = browser()
try:
    talk(page)
finally:
    page.quit()
print("all checks passed")
