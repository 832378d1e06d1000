"""The chat's worker in Python, as worker.rs: stars for rude words, a stamp, dead letters for what is no text.

worker.py [NATS-URL]; examples/worker/run starts it with everything around it. docs/workers.md explains each step.
"""

import asyncio
import contextlib
import json
import sys
import time

import nats

STREAM, BASE = "linnet_default_chat_work", "linnet.default.chat"
SECOND = 1_000_000_000  # JetStream counts in nanoseconds
KEPT = ("Linnet-Room", "Linnet-From", "Linnet-Info", "Linnet-Event", "Linnet-Skip", "traceparent", "tracestate")
RUDE = ("darn", "drat")


def handle(payload):
    data = json.loads(payload)
    text = data if isinstance(data, str) else data["text"]
    words = ("*" * len(word) if word in RUDE else word for word in text.split(" "))
    return {"text": " ".join(words), "at": int(time.time()), "worker": "python"}


async def is_ours(js, message, asked, ack_wait):
    """Whether nobody else got the message meanwhile: this process may have stood still. A best effort."""
    if time.monotonic() - asked < ack_wait / 2:
        return True
    info = await js.consumer_info(STREAM, message.metadata.consumer)
    return info.num_ack_pending == 1 and info.delivered.consumer_seq == message.metadata.sequence.consumer


async def finish(js, metadata, message):
    """Works on one message and ends its delivery."""
    headers, deliveries = message.headers, message.metadata.num_delivered
    source, limit = f"{metadata['linnet-epoch']}:{message.metadata.sequence.stream}", int(metadata["linnet-max-deliveries"])
    reason = "delivered too often and never acknowledged" if deliveries > limit else None
    if reason is None:
        try:
            output = json.dumps(handle(message.data)).encode()
            kept = {name: headers[name] for name in KEPT if name in headers}
            await js.publish(headers["Linnet-Output"], output, headers=kept | {"Nats-Msg-Id": f"IN:{source}:0"})
            return await message.ack_sync()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if deliveries < limit:
                return await message.nak(delay=deliveries / 4)
            reason = f"{type(error).__name__}: {error}"
    kept = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
    why = {"Linnet-Dead-Reason": json.dumps(reason), "Linnet-Dead-Deliveries": str(deliveries)}
    why |= {"Linnet-Dead-Input": source, "Linnet-Dead-By": '"python"', "Nats-Msg-Id": f"DEAD:{source}"}
    await js.publish(f"{BASE}.dead.{message.subject.rsplit('.', 1)[1]}", message.data, headers=kept | why)
    await message.term()


async def work(nc, js, metadata, ack_wait, partition, door, hands):
    """Asks for the messages of one partition, one at a time."""
    inbox, pin, consumer = nc.new_inbox(), None, f"worker_{partition}"
    answers = await nc.subscribe(inbox)
    try:
        while True:
            # One that another worker has, or died on, is taken alone: what was in hand beside it would come again with it.
            unfinished = pin is None and (await js.consumer_info(STREAM, consumer)).num_ack_pending > 0
            async with door if unfinished else contextlib.nullcontext():
                expires = SECOND // int(metadata["linnet-partitions"]) if unfinished else SECOND
                request = {"batch": 1, "expires": expires, "group": "workers"} | ({"id": pin} if pin else {})
                asked = time.monotonic()
                subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer}"
                await nc.publish(subject, json.dumps(request).encode(), reply=inbox)
                message = await answers.next_msg(timeout=4)
                status = (message.headers or {}).get("Status")
                if status in ("404", "408"):
                    continue  # nothing came
                if status == "423" and (await js.stream_info(STREAM)).config.metadata == metadata:
                    pin = None  # another worker has it, or it was over
                    continue
                if status:
                    raise RuntimeError(f"{status} {message.headers.get('Description')}")
                pin = message.headers["Nats-Pin-Id"]
                async with hands:
                    if await is_ours(js, message, asked, ack_wait):
                        await finish(js, metadata, message)
    finally:
        if not nc.is_closed:
            await answers.unsubscribe()


async def main(url):
    nc = await nats.connect(url, max_reconnect_attempts=-1)
    js = nc.jetstream()
    while True:
        # Read anew after any trouble: a queue that was made anew has another epoch.
        try:
            metadata = (await js.stream_info(STREAM)).config.metadata
            ack_wait = (await js.consumer_info(STREAM, "worker_0")).config.ack_wait
            print(f"working on {metadata['linnet-partitions']} partitions", file=sys.stderr)
            # Who asks for what others left unfinished, and whose message is worked on.
            door, hands = asyncio.Lock(), asyncio.Lock()
            async with asyncio.TaskGroup() as tasks:
                for partition in range(int(metadata["linnet-partitions"])):
                    tasks.create_task(work(nc, js, metadata, ack_wait, partition, door, hands))
        except (Exception, ExceptionGroup) as error:
            print(f"no work for now: {error!r}", file=sys.stderr)
            await asyncio.sleep(0.25)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
