"""A receiver of webhooks: fails the first attempts, then checks signatures by itself.

Usage: receiver.py KEY FAILURES. Prints its port, then one JSON line for each attempt. A PUT names a
worker whose events it fails from then on; one to /slow, a worker whose events it takes slowly.
"""

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

key, failures, held, slow = sys.argv[1].encode(), int(sys.argv[2]), "", ""


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        global failures
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = dict(part.split("=", 1) for part in self.headers["Troupe-Signature"].split(","))
        signed = parts["t"].encode() + b"." + body
        good = hmac.compare_digest(
            hmac.new(key, signed, hashlib.sha256).hexdigest(), parts["v1"]
        ) and abs(time.time() - int(parts["t"])) < 60
        event = json.loads(body)
        fails = failures > 0
        failures -= fails
        failing = fails or event["worker"] == held
        if event["worker"] == slow:
            time.sleep(0.2)
        self.send_response(503 if failing else 204)
        self.end_headers()
        line = {"good": good, "taken": not failing, "event": event}
        print(json.dumps(line), flush=True)

    def do_PUT(self):
        global held, slow
        named = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/slow":
            slow = named
        else:
            held = named
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
