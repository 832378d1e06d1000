"""The published python-socketio as a client: connect, events, acknowledgements, binary, namespaces, reconnection."""

import os
import queue
import unittest
import uuid

import socketio

URL = f"http://{os.environ['LINNET_PUBLIC']}"
DEADLINE = 30


class Client:
    """A client whose events wait until they are asked for."""

    def __init__(self, test, namespaces=("/",), transports=("websocket",), **settings):
        self.events = queue.Queue()
        self.io = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
        test.addCleanup(self.io.disconnect)
        for namespace in namespaces:
            self.io.on("*", self.keep(namespace), namespace=namespace)
            self.io.on("connect", self.keep(namespace, "connect"), namespace=namespace)
        ways = list(transports) if transports else None
        self.io.connect(URL, transports=ways, namespaces=list(namespaces), wait_timeout=DEADLINE, **settings)

    def keep(self, namespace, name=None):
        def keep(*arguments):
            self.events.put((namespace, *([name] if name else []), *arguments))

        return keep

    def next(self, name, namespace="/"):
        while True:
            event = self.events.get(timeout=DEADLINE)
            if event[:2] == (namespace, name):
                return event[2:]

    def ask(self, event, *arguments, namespace="/"):
        return self.io.call(event, arguments, namespace=namespace, timeout=DEADLINE)


class PythonSocketIo(unittest.TestCase):
    def test_two_clients_talk_in_a_room(self):
        room = f"py-{uuid.uuid4()}"
        ann, bob = Client(self), Client(self)
        self.assertEqual(ann.next("connected")[0]["connection_id"], ann.io.get_sid())
        for client in (ann, bob):
            self.assertIn("epoch", client.ask("join", room))
        said = ann.ask("message", {"room": room, "event": "greet", "data": {"text": "hi"}})
        data, about = bob.next("greet")
        self.assertEqual((data, about["offset"]), ({"text": "hi"}, said["offset"]))
        page = bob.ask("history", room)
        self.assertEqual([message["data"] for message in page["messages"]], [{"text": "hi"}])

    def test_bytes_stay_bytes(self):
        room = f"py-{uuid.uuid4()}"
        client = Client(self)
        client.ask("join", room)
        client.ask("message", {"room": room, "event": "file", "data": b"\x00\x01\xff"})
        self.assertEqual(client.next("file")[0], b"\x00\x01\xff")

    def test_a_refusal_has_a_code(self):
        client = Client(self)
        self.assertEqual(client.ask("order", 1)["error"]["code"], "no_handler")

    def test_a_token_that_is_not_accepted_is_refused(self):
        client, errors = socketio.Client(reconnection=False), queue.Queue()
        self.addCleanup(client.disconnect)
        client.on("connect_error", errors.put)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(URL, transports=["websocket"], auth={"token": "x.y.z"}, wait_timeout=DEADLINE)
        self.assertEqual(errors.get(timeout=DEADLINE)["data"]["code"], "invalid_token")

    def test_a_namespace_is_a_prefix_of_rooms(self):
        room = f"py-{uuid.uuid4()}"
        inside, outside = Client(self, namespaces=("/", "/chat")), Client(self)
        inside.ask("join", room, namespace="/chat")
        outside.ask("message", {"room": f"chat/{room}", "data": 1})
        data, about = inside.next("message", namespace="/chat")
        self.assertEqual((data, about["room"]), (1, room))

    def test_a_connection_that_breaks_is_made_anew(self):
        client = Client(self)
        client.next("connect")
        client.io.eio.ws.close()
        client.next("connect")
        self.assertEqual(client.ask("leave", "nowhere"), {})

    def test_every_way_to_connect_leads_to_the_same_rooms(self):
        for transports, arrives in [(("polling",), "polling"), (("websocket",), "websocket"), (None, "websocket")]:
            with self.subTest(transports=transports):
                room = f"py-{uuid.uuid4()}"
                ann, bob = Client(self, transports=transports), Client(self)
                self.assertEqual(ann.io.transport(), arrives)
                self.assertEqual(ann.next("connected")[0]["connection_id"], ann.io.get_sid())
                for client in (ann, bob):
                    self.assertIn("epoch", client.ask("join", room))
                for data in ({"text": "hi"}, b"\x00\x01\xff"):
                    ann.ask("message", {"room": room, "event": "x", "data": data})
                    for client in (ann, bob):
                        self.assertEqual(client.next("x")[0], data)
                for number in range(200):
                    bob.io.emit("message", {"room": room, "event": "n", "data": number, "echo": False})
                # Each is handled in a thread of its own, so their order is this client's.
                self.assertCountEqual([ann.next("n")[0] for _ in range(200)], range(200))


if __name__ == "__main__":
    unittest.main()
