"""websocat, as docs/protocol.md tells people to use it."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import unittest
import uuid
from pathlib import Path

HOST = os.environ["LINNET_PUBLIC"]
WEBSOCAT = shutil.which("websocat", path=Path(sys.executable).parent) or "websocat"
DEADLINE = 20


class Websocat:
    """A websocat whose lines can be awaited."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [WEBSOCAT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        return self.lines.get(timeout=DEADLINE)

    def hear_json(self):
        return json.loads(self.hear())

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class WebsocatChats(unittest.TestCase):
    def websocat(self, *arguments):
        cat = Websocat(*arguments)
        self.addCleanup(cat.end)
        return cat

    def json(self):
        cat = self.websocat("--protocol", "linnet.v1.json", f"ws://{HOST}/ws")
        self.assertEqual(cat.hear_json()["type"], "connected")
        return cat

    def test_two_plain_websocats_chat(self):
        url = f"ws://{HOST}/ws?room=cat-{uuid.uuid4()}&protocol=plain"
        ann, bob = self.websocat(url), self.websocat(url)
        ann.say("ann is here")
        self.assertEqual(ann.hear(), "ann is here")
        # Bob may be in the room already when Ann speaks; what counts is what follows his own word.
        bob.say("bob is here")
        while bob.hear() != "bob is here":
            pass
        self.assertEqual(ann.hear(), "bob is here")
        ann.say("hello bob ✓")
        self.assertEqual(bob.hear(), "hello bob ✓")
        bob.say("hello ann")
        self.assertEqual([ann.hear(), ann.hear()], ["hello bob ✓", "hello ann"])

    def test_a_json_websocat_watches_a_plain_one(self):
        room = f"cat-{uuid.uuid4()}"
        watcher = self.json()
        watcher.say(json.dumps({"type": "subscribe", "id": 1, "room": room}))
        self.assertEqual(watcher.hear_json()["type"], "ack")
        plain = self.websocat(f"ws://{HOST}/ws?room={room}&protocol=plain")
        plain.say("backup finished")
        message = watcher.hear_json()
        # websocat sends a line with its end.
        self.assertEqual((message["room"], message["data"]), (room, "backup finished\n"))

    def test_subscribes_publishes_and_resumes(self):
        room = f"cat-{uuid.uuid4()}"
        first = self.json()
        first.say(json.dumps({"type": "subscribe", "id": 1, "room": room}))
        start = first.hear_json()
        first.end()
        writer = self.json()
        for n in range(3):
            writer.say(json.dumps({"type": "publish", "id": n, "room": room, "data": n}))
            self.assertEqual(writer.hear_json()["id"], n)
        second = self.json()
        since = {"epoch": start["epoch"], "offset": start["offset"]}
        second.say(json.dumps({"type": "subscribe", "id": 1, "room": room, "since": since}))
        ack = second.hear_json()
        self.assertEqual((ack["recovered"], ack["more"]), (True, False))
        self.assertEqual([message["data"] for message in ack["messages"]], [0, 1, 2])


if __name__ == "__main__":
    unittest.main()
