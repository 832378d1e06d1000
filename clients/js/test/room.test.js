import assert from 'node:assert/strict';
import test from 'node:test';
import { ack, message, stored } from './support/server.js';
import { next, record, setup } from './support/setup.js';

/** A client that is live in `lobby` at offset 10 of epoch `e`. */
async function inLobby(t, { subscribe = {}, ...options } = {}) {
  const parts = await setup(t, options);
  const room = parts.linnet.room('lobby');
  const seen = record(room);
  const subscribed = room.subscribe(subscribe);
  const peer = await parts.server.accept();
  peer.ack(await peer.expect('subscribe', { room: 'lobby' }), { epoch: 'e', offset: 10 });
  await subscribed;
  return { ...parts, room, seen, peer };
}

async function reconnect({ linnet, clock, server }, peer) {
  const gone = next(linnet, 'disconnected');
  peer.drop();
  clock.advance((await gone).retryInMs);
  return server.accept();
}

test('live messages follow the ack even in the same packet', async (t) => {
  const { server, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  const subscribed = room.subscribe();
  const peer = await server.accept();
  peer.send(
    ack(await peer.expect('subscribe'), { epoch: 'e', offset: 10 }),
    message('lobby', 11),
    message('lobby', 12),
  );
  assert.deepEqual(await subscribed, { keepsHistory: true, position: { epoch: 'e', offset: 10 } });
  assert.deepEqual([...seen], ['m11', 'm12']);
  assert.deepEqual(room.position, { epoch: 'e', offset: 12 });
});

test('messages carry what the protocol says, bytes as bytes', async (t) => {
  const { room, peer } = await inLobby(t);
  const first = next(room, 'message');
  peer.send(message('lobby', 11, { a: 1 }, { event: 'x', info: { name: 'Ann' } }));
  assert.deepEqual(await first, {
    room: 'lobby',
    offset: 11,
    from: '~other',
    event: 'x',
    data: { a: 1 },
    timestamp: 1_700_000_000_011,
    info: { name: 'Ann' },
    replayed: false,
  });
  const second = next(room, 'message');
  peer.send(message('lobby', 12, 'AQID', { encoding: 'base64' }));
  assert.deepEqual((await second).data, Uint8Array.of(1, 2, 3));
});

test('earlier messages come first, live ones wait for them, none comes twice, also where one has to ask again', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  const subscribed = room.subscribe({ history: 150 });
  const peer = await server.accept();
  peer.send(ack(await peer.expect('subscribe'), { epoch: 'e', offset: 200 }), message('lobby', 201));
  const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
  peer.ack(await peer.expect('history', { before: 201, limit: 100 }), {
    epoch: 'e',
    messages: numbers(101, 200).map((n) => stored(n)),
    more: true,
  });
  peer.send(message('lobby', 202));
  peer.refuse(await peer.expect('history', { before: 101, limit: 50 }), 'rate_limited', { retry_after_ms: 70 });
  await clock.timer(70);
  clock.advance(70);
  peer.ack(await peer.expect('history', { before: 101, limit: 50 }), {
    epoch: 'e',
    messages: numbers(51, 100).map((n) => stored(n)),
    more: true,
  });
  await subscribed;
  assert.deepEqual([...seen], [...numbers(51, 200).map((n) => `(m${n})`), 'm201', 'm202']);
});

test('after a drop it resumes from the last offset, page by page', async (t) => {
  const parts = await inLobby(t);
  const { seen, room } = parts;
  parts.peer.send(message('lobby', 12));
  await seen.until('m12');
  const peer = await reconnect(parts, parts.peer);
  peer.ack(await peer.expect('subscribe', { since: { epoch: 'e', offset: 12 } }), {
    epoch: 'e',
    offset: 14,
    recovered: true,
    messages: [stored(13), stored(14)],
    more: true,
  });
  peer.send(
    ack(await peer.expect('subscribe', { since: { epoch: 'e', offset: 14 } }), {
      epoch: 'e',
      offset: 15,
      recovered: true,
      messages: [stored(15)],
      more: false,
    }),
    message('lobby', 15),
    message('lobby', 16),
  );
  await seen.until('m16');
  assert.deepEqual([...seen], ['m12', '(m13)', '(m14)', '(m15)', 'resumed 3', 'm16']);
  assert.equal(room.state, 'live');
});

test('a drop in the middle of catching up goes on where it was', async (t) => {
  const parts = await inLobby(t);
  const second = await reconnect(parts, parts.peer);
  second.ack(await second.expect('subscribe'), {
    epoch: 'e',
    offset: 11,
    recovered: true,
    messages: [stored(11)],
    more: true,
  });
  await second.expect('subscribe', { since: { epoch: 'e', offset: 11 } });
  const third = await reconnect(parts, second);
  third.ack(await third.expect('subscribe', { since: { epoch: 'e', offset: 11 } }), {
    epoch: 'e',
    offset: 12,
    recovered: true,
    messages: [stored(12)],
    more: false,
  });
  await parts.seen.until('resumed 1');
  assert.deepEqual([...parts.seen], ['(m11)', '(m12)', 'resumed 1']);
});

test('what can not be recovered is a gap, followed by the latest that there is', async (t) => {
  const { seen, ...parts } = await inLobby(t, { subscribe: { history: 0 } });
  const gap = next(parts.room, 'gap');
  const peer = await reconnect(parts, parts.peer);
  peer.ack(await peer.expect('subscribe'), { epoch: 'f', offset: 90, recovered: false, messages: [], more: false });
  assert.deepEqual(await gap, {
    reason: 'disconnected',
    since: { epoch: 'e', offset: 10 },
    position: { epoch: 'f', offset: 90 },
  });
  peer.send(message('lobby', 91));
  await seen.until('m91');
  assert.deepEqual([...seen], ['gap disconnected', 'm91']);
});

test('with `history`, the view is filled again after a gap, without repeats', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  room.subscribe({ history: 3 });
  const first = await server.accept();
  first.ack(await first.expect('subscribe'), { epoch: 'e', offset: 10 });
  first.ack(await first.expect('history'), { epoch: 'e', messages: [stored(9), stored(10)], more: false });
  await seen.until('(m10)');
  const peer = await reconnect({ linnet, clock, server }, first);
  peer.send(
    ack(await peer.expect('subscribe'), { epoch: 'e', offset: 50, recovered: false, messages: [], more: false }),
    message('lobby', 51),
  );
  peer.ack(await peer.expect('history', { before: 51, limit: 3 }), {
    epoch: 'e',
    messages: [stored(10), stored(49), stored(50)],
    more: false,
  });
  await seen.until('m51');
  assert.deepEqual([...seen], ['(m9)', '(m10)', 'gap disconnected', '(m49)', '(m50)', 'm51']);
});

test('a drop while earlier messages are fetched loses none of them', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  room.subscribe({ history: 5 });
  const first = await server.accept();
  first.send(ack(await first.expect('subscribe'), { epoch: 'e', offset: 10 }), message('lobby', 11));
  await first.expect('history');
  const peer = await reconnect({ linnet, clock, server }, first);
  const again = await peer.expect('subscribe', { since: undefined });
  peer.ack(again, { epoch: 'e', offset: 11 });
  peer.ack(await peer.expect('history', { before: 12 }), {
    epoch: 'e',
    messages: [stored(10), stored(11)],
    more: false,
  });
  await seen.until('(m11)');
  assert.deepEqual([...seen], ['(m10)', '(m11)']);
});

test('a gap in a room with history is fetched and then is none', async (t) => {
  const { seen, peer } = await inLobby(t);
  peer.send(
    message('lobby', 11),
    { type: 'gap', room: 'lobby', reason: 'lagged', epoch: 'e', offset: 20 },
    message('lobby', 21),
  );
  const again = await peer.expect('subscribe', { since: { epoch: 'e', offset: 11 } });
  peer.send(
    message('lobby', 22),
    { type: 'gap', room: 'lobby', reason: 'lagged', epoch: 'e', offset: 23 },
    ack(again, {
      epoch: 'e',
      offset: 24,
      recovered: true,
      messages: [15, 21, 22, 24].map((n) => stored(n)),
      more: false,
    }),
    message('lobby', 25),
  );
  await seen.until('m25');
  assert.deepEqual([...seen], ['m11', '(m15)', '(m21)', '(m22)', '(m24)', 'resumed 4', 'm25']);
});

test('a gap that can not be closed is told, and what came after it is kept', async (t) => {
  const { seen, peer } = await inLobby(t);
  peer.send({ type: 'gap', room: 'lobby', reason: 'lagged', epoch: 'e', offset: 20 }, message('lobby', 21));
  const again = await peer.expect('subscribe');
  peer.send(
    message('lobby', 22),
    ack(again, { epoch: 'e', offset: 22, recovered: false, messages: [], more: false }),
    message('lobby', 23),
  );
  await seen.until('m23');
  assert.deepEqual([...seen], ['gap lagged', '(m21)', '(m22)', 'm23']);
});

test('a new epoch starts counting anew', async (t) => {
  const { seen, peer } = await inLobby(t);
  peer.send({ type: 'gap', room: 'lobby', reason: 'epoch_changed', epoch: 'f', offset: 1 });
  peer.ack(await peer.expect('subscribe', { since: { epoch: 'e', offset: 10 } }), {
    epoch: 'f',
    offset: 2,
    recovered: false,
    messages: [],
    more: false,
  });
  peer.send(message('lobby', 3));
  await seen.until('m3');
  assert.deepEqual([...seen], ['gap epoch_changed', 'm3']);
});

test('a room without history tells of every interruption', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  const subscribed = room.subscribe({ history: 50 });
  const first = await server.accept();
  first.ack(await first.expect('subscribe'));
  assert.deepEqual(await subscribed, { keepsHistory: false, position: null });
  first.send(
    message('lobby', undefined, 'a'),
    { type: 'gap', room: 'lobby', reason: 'overload' },
    message('lobby', undefined, 'b'),
  );
  await seen.until('b');
  const peer = await reconnect({ linnet, clock, server }, first);
  peer.send(ack(await peer.expect('subscribe', { since: undefined })), message('lobby', undefined, 'c'));
  await seen.until('c');
  assert.deepEqual([...seen], ['a', 'gap overload', 'b', 'gap disconnected', 'c']);
});

test('a subscription survives a drop before its ack', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const subscribed = linnet.room('lobby').subscribe();
  const first = await server.accept();
  await first.expect('subscribe');
  const peer = await reconnect({ linnet, clock, server }, first);
  peer.ack(await peer.expect('subscribe'), { epoch: 'e', offset: 0 });
  await subscribed;
});

test('a refused subscription rejects; one that may work later is asked again', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const subscribed = room.subscribe();
  const peer = await server.accept();
  peer.refuse(await peer.expect('subscribe'), 'rate_limited', { retry_after_ms: 70 });
  await clock.timer(570);
  clock.advance(570);
  peer.refuse(await peer.expect('subscribe'), 'forbidden');
  await assert.rejects(subscribed, { code: 'forbidden' });
  assert.equal(room.state, 'off');
});

test('the server may end a subscription, after which a reconnect leaves it alone', async (t) => {
  const parts = await inLobby(t);
  const ended = next(parts.room, 'unsubscribed');
  parts.peer.send({ type: 'unsubscribed', room: 'lobby', code: 'forbidden', message: 'no longer' });
  assert.deepEqual(await ended, { code: 'forbidden', message: 'no longer' });
  const peer = await reconnect(parts, parts.peer);
  const history = parts.room.history({ limit: 1 });
  peer.ack(await peer.expect('history'), { epoch: 'e', messages: [], more: false });
  await history;
});

test('a catch-up that took too long is taken up again', async (t) => {
  const { seen, peer } = await inLobby(t);
  peer.send({ type: 'unsubscribed', room: 'lobby', code: 'catch_up_timeout', message: '' });
  peer.ack(await peer.expect('subscribe', { since: { epoch: 'e', offset: 10 } }), {
    epoch: 'e',
    offset: 11,
    recovered: true,
    messages: [stored(11)],
    more: false,
  });
  await seen.until('resumed 1');
});

test('leaving stops the messages and tells the server', async (t) => {
  const { room, seen, peer } = await inLobby(t);
  const left = room.unsubscribe();
  peer.send(message('lobby', 11));
  peer.ack(await peer.expect('unsubscribe', { room: 'lobby' }));
  await left;
  assert.deepEqual([...seen], []);
  assert.equal(room.state, 'off');
});

test('aborting a subscription that is not live yet leaves', async (t) => {
  const { server, linnet } = await setup(t);
  const stop = new AbortController();
  const room = linnet.room('lobby');
  const subscribed = room.subscribe({ signal: stop.signal });
  const peer = await server.accept();
  await peer.expect('subscribe');
  stop.abort();
  await assert.rejects(subscribed, { name: 'AbortError' });
  await peer.expect('unsubscribe');
});

test('a kept position resumes in a new client', async (t) => {
  const { server, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  room.subscribe({ since: { epoch: 'e', offset: 3 } });
  const peer = await server.accept();
  peer.ack(await peer.expect('subscribe', { since: { epoch: 'e', offset: 3 } }), {
    epoch: 'e',
    offset: 4,
    recovered: true,
    messages: [stored(4)],
    more: false,
  });
  await seen.until('resumed 1');
  assert.deepEqual([...seen], ['(m4)', 'resumed 1']);
});

test('history is fetched in pages, in order', async (t) => {
  const { server, linnet } = await setup(t);
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => stored(from + at));
  const newest = linnet.room('lobby').history({ limit: 150 });
  const peer = await server.accept();
  peer.ack(await peer.expect('history', { limit: 100 }), { epoch: 'e', messages: range(101, 200), more: true });
  peer.ack(await peer.expect('history', { before: 101, limit: 50 }), {
    epoch: 'e',
    messages: range(51, 100),
    more: true,
  });
  const { messages, more } = await newest;
  assert.deepEqual([messages.length, messages[0].offset, messages.at(-1).offset, more], [150, 51, 200, true]);
  const forward = linnet.room('lobby').history({ after: 100, limit: 150 });
  peer.ack(await peer.expect('history', { after: 100, limit: 100 }), {
    epoch: 'e',
    messages: range(101, 200),
    more: true,
  });
  peer.ack(await peer.expect('history', { after: 200, limit: 50 }), {
    epoch: 'e',
    messages: range(201, 210),
    more: false,
  });
  const page = await forward;
  assert.deepEqual([page.messages.length, page.messages.at(-1).offset, page.more], [110, 210, false]);
});
