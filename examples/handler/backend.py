"""The shop's back end in Python: backend.py http PORT, or backend.py nats URL SUBJECT. LINNET_SIGNING_KEY is what it knows
its channel by. docs/handlers.md explains each field.
"""

import asyncio
import base64
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["LINNET_SIGNING_KEY"].removeprefix("whsec_"))
PRICES = {"A-17": 4.2, "B-2": 120}
HERE = {}


def reject(code, message):
    return {"reject": {"code": code, "message": message}}


def connect(data):
    info = data.get("info")
    name = info.get("name", "somebody") if isinstance(info, dict) else "somebody"
    if name == "Mallory":
        return reject("banned", "the shop is closed for you")
    HERE[data["connection_id"]] = name
    return {"data": {"hello": name, "from": "python"}, "join": ["news"]}


def disconnect(data):
    HERE.pop(data["connection_id"], None)
    return {}


def request(data):
    asked = data["data"]
    if data["event"] == "who":
        return {"data": sorted(HERE.values())}
    if data["event"] != "price":
        return reject("unknown_event", f"there is no {data['event']}")
    sku = asked.get("sku") if isinstance(asked, dict) else None
    if sku not in PRICES:
        return reject("unknown_sku", "we do not sell that")
    return {"data": {"amount": PRICES[sku], "currency": "EUR"}}


def is_signed(headers, body):
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    given = headers["webhook-signature"].split(" ")
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and any(hmac.compare_digest(right, one) for one in given)


def answer(headers, body):
    """What to answer; None to one that is not the channel."""
    if not headers.get("webhook-signature") or not is_signed(headers, body):
        return None
    event = json.loads(body)
    kind, data = event["type"].removeprefix("dev.linnet."), event["data"]
    print(kind, data["connection_id"], data.get("event") or data.get("reason") or "", flush=True)
    return json.dumps({"connect": connect, "disconnect": disconnect, "request": request}[kind](data)).encode()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_POST(self):
        text = answer(self.headers, self.rfile.read(int(self.headers["content-length"])))
        self.send_response(403 if text is None else 200)
        self.send_header("content-length", str(len(text or b"")))
        self.end_headers()
        self.wfile.write(text or b"")

    def log_message(self, *_):
        pass


def serve(port):
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Http)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


async def listen(url, subject):
    import nats

    connection = await nats.connect(url, max_reconnect_attempts=-1)

    async def called(call):
        text = answer(call.headers or {}, call.data)
        if text is not None:
            await call.respond(text)

    await connection.subscribe(subject, queue="backend", cb=called)
    await connection.flush()
    print(f"listening on {subject}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    way, *where = sys.argv[1:]
    serve(*where) if way == "http" else asyncio.run(listen(*where))
