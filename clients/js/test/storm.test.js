import assert from 'node:assert/strict';
import test from 'node:test';
import { Linnet } from '../src/linnet.js';
import { ManualClock } from './support/clock.js';

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A room with history as the protocol describes it, for sockets that live in this process. */
class TinyGateway {
  log = [];
  floor = 0;
  sockets = new Set();
  ids = new Map();

  /** What a client made of this gateway's parts would call WebSocket. */
  get WebSocket() {
    const gateway = this;
    return class {
      readyState = 0;
      live = false;
      constructor() {
        gateway.sockets.add(this);
        queueMicrotask(() => {
          if (this.readyState !== 0) return;
          this.readyState = 1;
          this.onopen?.({});
        });
      }
      inbox = [];
      send(text) {
        this.inbox.push(JSON.parse(text));
      }
      deliver(frame) {
        this.onmessage?.({ data: JSON.stringify(frame) });
      }
      close(code = 1000) {
        if (this.readyState === 3) return;
        this.readyState = 3;
        gateway.sockets.delete(this);
        this.onclose?.({ code, reason: '' });
      }
    };
  }

  /** Answers one request of one client: what is asked may wait while other things happen. */
  work(pick) {
    const asking = [...this.sockets].filter(({ inbox }) => inbox.length > 0);
    if (asking.length === 0) return false;
    const socket = asking[Math.floor(pick * asking.length)];
    this.handle(socket, socket.inbox.shift());
    return true;
  }

  publish(data, id) {
    if (id !== undefined && this.ids.has(id)) return this.ids.get(id);
    const message = { offset: this.log.length + 1, from: '~x', data, timestamp: this.log.length };
    this.log.push(message);
    if (id !== undefined) this.ids.set(id, message);
    for (const socket of this.sockets) if (socket.live) socket.deliver({ type: 'message', room: 'r', ...message });
    return message;
  }

  handle(socket, frame) {
    const ack = (fields) => socket.deliver({ type: 'ack', id: frame.id, ...fields });
    if (frame.type === 'connect') {
      socket.deliver({
        type: 'connected',
        connection_id: '~c',
        session: 's',
        gateway: 'g',
        ping: 25,
        timeout: 10,
        limits: {},
      });
      ack({ connection_id: '~c', session: 's' });
    } else if (frame.type === 'subscribe') {
      const { since } = frame;
      const head = this.log.length;
      if (!since || since.offset < this.floor) {
        socket.live = true;
        return ack({ epoch: 'e', offset: head, ...(since && { recovered: false, messages: [], more: false }) });
      }
      const messages = this.log.slice(since.offset, since.offset + 3);
      const offset = messages.at(-1)?.offset ?? head;
      socket.live = offset === head;
      ack({ epoch: 'e', offset, recovered: true, messages, more: !socket.live });
    } else if (frame.type === 'history') {
      const end = Math.min(frame.before - 1, this.log.length);
      ack({ epoch: 'e', messages: this.log.slice(Math.max(0, end - frame.limit), end), more: end > frame.limit });
    } else if (frame.type === 'publish') {
      const { offset, timestamp } = this.publish(frame.data, frame.message_id);
      ack({ epoch: 'e', offset, timestamp });
    }
  }
}

for (let seed = 1; seed <= 100; seed += 1) {
  test(`cut, told to move and lagging at random, each message comes once and in order (seed ${seed})`, async () => {
    const random = seeded(seed);
    const gateway = new TinyGateway();
    const clock = new ManualClock();
    const linnet = new Linnet('ws://tiny/ws', { WebSocket: gateway.WebSocket, clock, random, timeoutMs: 120_000 });
    const room = linnet.room('r');
    const offsets = [];
    let gaps = 0;
    room.on('message', ({ offset }) => offsets.push(offset));
    room.on('gap', () => (gaps += 1));
    const turns = async (count) => {
      for (let turn = 0; turn < count; turn += 1) await null;
    };
    const subscribed = room.subscribe(seed % 3 === 0 ? { history: 5 } : {});
    const forgets = seed % 4 === 0;
    const published = [];
    for (let step = 0; step < 600; step += 1) {
      if (random() < 0.6) gateway.work(random());
      const dice = random();
      const [socket] = [...gateway.sockets].sort(() => random() - 0.5);
      if (dice < 0.4) gateway.publish(step);
      else if (dice < 0.5) published.push(room.publish(`own ${step}`, { resend: true }));
      else if (dice < 0.56) socket?.close(1006);
      else if (dice < 0.65) socket?.readyState === 1 && socket.deliver({ type: 'goaway', within_ms: 1000 });
      else if (dice < 0.72 && socket?.live) {
        // The gateway skips some for this client, and says so.
        socket.live = false;
        for (let skipped = 0; skipped < 4; skipped += 1) gateway.publish(step);
        socket.live = true;
        socket.deliver({ type: 'gap', room: 'r', reason: 'lagged', epoch: 'e', offset: gateway.log.length });
      } else if (dice < 0.74 && forgets) gateway.floor = Math.max(gateway.floor, gateway.log.length - 2);
      else clock.advance(random() * 800);
      await turns(4);
    }
    // Peace, in steps: what is under way takes turns and time to end.
    for (let step = 0; step < 60; step += 1) {
      clock.advance(1000);
      await turns(4);
      while (gateway.work(0)) await turns(4);
    }
    await subscribed;
    await Promise.all(published);
    assert.equal(room.position.offset, gateway.log.length);
    const jumps = offsets.filter((offset, at) => at > 0 && offset !== offsets[at - 1] + 1);
    if (gaps === 0) assert.deepEqual(jumps, [], `missing, repeated or out of order: ${offsets}`);
    assert.ok(
      offsets.every((offset, at) => at === 0 || offset > offsets[at - 1]),
      `repeated or out of order: ${offsets}`,
    );
    assert.ok(gaps === 0 || forgets, 'a gap although everything was kept');
    linnet.close();
  });
}
