#!/usr/bin/env python3
"""Stands in for `heliograph serve`: answers /readyz on the node's operations port.

A file DIR/fake-NODE holds what it does wrong: `die`, `unready`, `deaf` (ignores SIGTERM).
"""
import http.server
import os
import re
import signal
import sys

config, node = sys.argv[sys.argv.index("--config") + 1], sys.argv[sys.argv.index("--node") + 1]
folder = os.path.dirname(config)
fault_file = os.path.join(folder, "fake-" + node)
fault = open(fault_file).read().strip() if os.path.exists(fault_file) else ""
mesh = open(os.path.join(folder, "mesh.yaml")).read()
port = int(re.search(r"node: %s\n.*\n\s+operations: 127\.0\.0\.1:(\d+)" % re.escape(node), mesh).group(1))


class Operations(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"ready":true,"checks":[]}'
        if fault == "unready":
            body = b'{"ready":false,"checks":[{"name":"redis","ok":false,"detail":"refused"},{"name":"mesh","ok":true,"detail":""}]}'
        self.send_response(503 if fault == "unready" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def leave(*_):
    print("ended in order", flush=True)
    os._exit(0)


print("serving %s on %d" % (node, port), flush=True)
if fault == "die":
    for number in range(30):
        print("last words %d" % number, flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if fault == "deaf" else leave)
http.server.HTTPServer(("127.0.0.1", port), Operations).serve_forever()
