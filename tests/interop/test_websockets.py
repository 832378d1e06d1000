"""Python's `websockets` as a client: connect, subscribe, publish, resume."""

import asyncio
import json
import os
import unittest
import uuid

import websockets

URL = f"ws://{os.environ['LINNET_PUBLIC']}/ws"
DEADLINE = 20


class Client:
    """A linnet.v1.json client in as few lines as it takes."""

    def __init__(self, socket):
        self.socket = socket
        self.frames = []
        self.ids = 0

    @classmethod
    async def connect(cls):
        socket = await websockets.connect(URL, subprotocols=["linnet.v1.json"])
        client = cls(socket)
        client.connected = await client.read()
        return client

    async def read(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), DEADLINE))

    async def ask(self, **request):
        self.ids += 1
        await self.socket.send(json.dumps({**request, "id": self.ids}))
        while True:
            frame = await self.read()
            if frame.get("id") == self.ids:
                return frame
            self.frames.append(frame)

    async def next(self):
        return self.frames.pop(0) if self.frames else await self.read()


class PythonWebsockets(unittest.IsolatedAsyncioTestCase):
    async def test_connects_and_is_greeted(self):
        client = await Client.connect()
        self.assertEqual(client.socket.subprotocol, "linnet.v1.json")
        self.assertEqual(client.connected["type"], "connected")
        self.assertTrue(client.connected["connection_id"].startswith("~"))
        await client.socket.close()

    async def test_negotiates_compression_and_talks_through_it(self):
        client = await Client.connect()
        names = [type(extension).__name__ for extension in client.socket.protocol.extensions]
        self.assertEqual(names, ["PerMessageDeflate"])
        room, text = f"python-{uuid.uuid4()}", "ab" * 5000
        await client.ask(type="subscribe", room=room)
        for _ in range(5):
            await client.ask(type="publish", room=room, data=text)
            self.assertEqual((await client.next())["data"], text)
        await client.socket.close()

    async def test_subscribes_publishes_and_resumes(self):
        room = f"python-{uuid.uuid4()}"
        reader, writer = await Client.connect(), await Client.connect()
        start = await reader.ask(type="subscribe", room=room)
        self.assertEqual(start["type"], "ack")
        published = await writer.ask(type="publish", room=room, data={"n": 0})
        message = await reader.next()
        self.assertEqual((message["data"], message["offset"]), ({"n": 0}, published["offset"]))

        # The connection breaks without a close frame; 150 messages are missed; the next one gets them in two pages.
        reader.socket.transport.abort()
        for n in range(1, 151):
            await writer.ask(type="publish", room=room, data={"n": n})
        again = await Client.connect()
        since = {"epoch": start["epoch"], "offset": message["offset"]}
        got, more = [], True
        while more:
            page = await again.ask(type="subscribe", room=room, since=since)
            self.assertTrue(page["recovered"])
            got += [message["data"]["n"] for message in page["messages"]]
            since["offset"] = page["messages"][-1]["offset"]
            more = page["more"]
        self.assertEqual(got, list(range(1, 151)))
        await writer.ask(type="publish", room=room, data={"n": 151})
        self.assertEqual((await again.next())["data"], {"n": 151})

    async def test_the_plain_protocol_needs_no_json(self):
        url = f"{URL}?room=python-{uuid.uuid4()}"
        async with websockets.connect(url, subprotocols=["linnet.v1.plain"]) as socket:
            await socket.send("text")
            self.assertEqual(await asyncio.wait_for(socket.recv(), DEADLINE), "text")
            await socket.send(b"\x00bytes")
            self.assertEqual(await asyncio.wait_for(socket.recv(), DEADLINE), b"\x00bytes")

    async def test_pings_of_the_library_are_answered(self):
        client = await Client.connect()
        await asyncio.wait_for(await client.socket.ping(), DEADLINE)
        await client.socket.close()
        self.assertEqual(client.socket.close_code, 1000)


if __name__ == "__main__":
    unittest.main()
