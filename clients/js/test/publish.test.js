import assert from 'node:assert/strict';
import test from 'node:test';
import { next, setup } from './support/setup.js';

async function drop({ linnet, clock, server }, peer, greeting) {
  const gone = next(linnet, 'disconnected');
  peer.drop();
  clock.advance((await gone).retryInMs);
  return server.accept(greeting);
}

/** A publish in flight, in a room that is known to keep history, or known not to. */
async function inFlight(t, keepsHistory, publish = {}, greeting = {}) {
  const parts = await setup(t);
  const room = parts.linnet.room('lobby');
  const subscribed = room.subscribe();
  const peer = await parts.server.accept(greeting);
  peer.ack(await peer.expect('subscribe'), keepsHistory ? { epoch: 'e', offset: 0 } : {});
  await subscribed;
  const publishing = room.publish('x', publish);
  const request = await peer.expect('publish');
  return { ...parts, room, peer, publishing, request };
}

test('a publish carries its options and a message id, and resolves with its place', async (t) => {
  const { server, linnet } = await setup(t);
  const publishing = linnet.room('lobby').publish({ a: 1 }, { event: 'move', echo: false });
  const peer = await server.accept();
  const request = await peer.expect('publish', { room: 'lobby', data: { a: 1 }, event: 'move', echo: false });
  assert.match(request.message_id, /^[\w-]{22}$/);
  peer.ack(request, { epoch: 'e', offset: 5, timestamp: 7, duplicate: true });
  assert.deepEqual(await publishing, {
    messageId: request.message_id,
    epoch: 'e',
    offset: 5,
    timestamp: 7,
    duplicate: true,
  });
});

test('bytes travel as base64', async (t) => {
  const { server, linnet } = await setup(t);
  linnet
    .room('lobby')
    .publish(Uint8Array.of(1, 2, 3))
    .catch(() => {});
  await (await server.accept()).expect('publish', { data: 'AQID', encoding: 'base64' });
});

test('what is no JSON value is refused here', async (t) => {
  const { linnet } = await setup(t);
  await assert.rejects(linnet.room('lobby').publish(undefined), TypeError);
});

test('data over the limit is refused here, counted in bytes', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  await server.accept({ limits: { message_size: 10 } });
  await next(linnet, 'connected');
  await assert.rejects(linnet.room('lobby').publish('ääääá'), { code: 'message_too_large' });
});

test('publishes wait for the connection, in order, up to the bound', async (t) => {
  const { server, linnet } = await setup(t, { maxPending: 3 });
  const room = linnet.room('lobby');
  const published = [1, 2, 3].map((data) => room.publish(data));
  await assert.rejects(room.publish(4), { code: 'queue_full' });
  const peer = await server.accept();
  for (const data of [1, 2, 3])
    peer.ack(await peer.expect('publish', { data }), { epoch: 'e', offset: data, timestamp: 1 });
  assert.deepEqual(
    (await Promise.all(published)).map(({ offset }) => offset),
    [1, 2, 3],
  );
});

test('`unavailable` is tried again with the same id, and keeps its place', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const published = Promise.all([room.publish('a'), room.publish('b')]);
  const peer = await server.accept();
  const [first, second] = [await peer.next(), await peer.next()];
  peer.refuse(first, 'unavailable', { retry_after_ms: 300 });
  peer.refuse(second, 'unavailable', { retry_after_ms: 300 });
  await clock.timer(300);
  clock.advance(300);
  // The second answer may have come later than the first; its own pause ends then.
  for (const { data, message_id } of [first, second]) {
    peer.ack(await peer.expect('publish', { data, message_id }), { epoch: 'e', offset: 1, timestamp: 1 });
  }
  await published;
});

test('whatever keeps the broker from publishing, it is tried again with the same id', async (t) => {
  const codes = ['storage_full', 'storage_limit', 'no_storage', 'broker_unauthorized', 'broker_denied'];
  const { server, clock, linnet } = await setup(t);
  const published = linnet.room('lobby').publish('a');
  const peer = await server.accept();
  let request = await peer.next();
  for (const code of codes) {
    peer.refuse(request, code, { retry_after_ms: 300 });
    await clock.timer(300);
    clock.advance(300);
    request = await peer.expect('publish', { message_id: request.message_id });
  }
  peer.ack(request, { epoch: 'e', offset: 1, timestamp: 1 });
  await published;
});

test('`outcome_unknown` is sent again with the same id', async (t) => {
  const { clock, peer, publishing, request } = await inFlight(t, true);
  peer.refuse(request, 'outcome_unknown');
  await clock.timer(500);
  clock.advance(500);
  peer.ack(await peer.expect('publish', { message_id: request.message_id }), {
    epoch: 'e',
    offset: 3,
    timestamp: 1,
    duplicate: true,
  });
  assert.equal((await publishing).duplicate, true);
});

test('a lost connection: in a room with history the publish is repeated with the same id', async (t) => {
  const parts = await inFlight(t, true);
  const peer = await drop(parts, parts.peer);
  await peer.expect('subscribe');
  peer.ack(await peer.expect('publish', { message_id: parts.request.message_id }), {
    epoch: 'e',
    offset: 1,
    timestamp: 1,
  });
  await parts.publishing;
});

test('a lost connection: in a room without history it is not, since the room would show it twice', async (t) => {
  const { publishing, ...parts } = await inFlight(t, false);
  const refused = assert.rejects(publishing, { code: 'outcome_unknown', messageId: parts.request.message_id });
  const peer = await drop(parts, parts.peer);
  await refused;
  await peer.expect('subscribe');
  assert.deepEqual(peer.unread, []);
});

test('unless the caller prefers twice to never', async (t) => {
  const { publishing, ...parts } = await inFlight(t, false, { resend: true });
  const peer = await drop(parts, parts.peer);
  await peer.expect('subscribe');
  peer.ack(await peer.expect('publish'), { timestamp: 1, deduplicated: false });
  await publishing;
});

test('it is not repeated as another publisher, whom the server would not recognise', async (t) => {
  const { publishing, ...parts } = await inFlight(t, true);
  const refused = assert.rejects(publishing, { code: 'outcome_unknown' });
  await drop(parts, parts.peer, { session: 'another' });
  await refused;
});

test('a user is the same publisher in a new session', async (t) => {
  const { publishing, ...parts } = await inFlight(t, true, {}, { user: 'ann' });
  const peer = await drop(parts, parts.peer, { user: 'ann', session: 'another' });
  await peer.expect('subscribe');
  peer.ack(await peer.expect('publish'), { epoch: 'e', offset: 1, timestamp: 1 });
  await publishing;
});

test('without an answer in time the outcome is unknown; never sent, it timed out', async (t) => {
  const { clock, publishing, linnet, peer } = await inFlight(t, true);
  const refused = assert.rejects(publishing, { code: 'outcome_unknown' });
  clock.advance(30_000);
  await refused;
  const gone = next(linnet, 'disconnected');
  peer.drop();
  await gone;
  const waiting = assert.rejects(linnet.room('lobby').publish('y', { timeoutMs: 100 }), { code: 'timeout' });
  clock.advance(100);
  await waiting;
});

test('a permanent refusal is passed on', async (t) => {
  const { peer, publishing, request } = await inFlight(t, true);
  peer.refuse(request, 'forbidden', { pointer: '/data' });
  await assert.rejects(publishing, { code: 'forbidden', pointer: '/data' });
});

test('it keeps below the rate of the greeting', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const peer = await server.accept({ limits: { messages_per_second: 10, message_burst: 2 } });
  await next(linnet, 'connected');
  const room = linnet.room('lobby');
  for (const data of [1, 2, 3, 4]) room.publish(data).catch(() => {});
  await peer.expect('publish', { data: 1 });
  await peer.expect('publish', { data: 2 });
  await clock.timer(100);
  assert.deepEqual(peer.unread, []);
  clock.advance(100);
  await peer.expect('publish', { data: 3 });
  clock.advance(100);
  await peer.expect('publish', { data: 4 });
});

test('an aborted publish that still waited is never sent', async (t) => {
  const { server, linnet } = await setup(t);
  const stop = new AbortController();
  const first = linnet.room('lobby').publish(1, { signal: stop.signal });
  linnet
    .room('lobby')
    .publish(2)
    .catch(() => {});
  stop.abort();
  await assert.rejects(first, { name: 'AbortError' });
  await (await server.accept()).expect('publish', { data: 2 });
});

test('send reaches a user and says how many connections that were', async (t) => {
  const { server, linnet } = await setup(t);
  const sending = linnet.send('bob', 'hi', { event: 'wink' });
  const peer = await server.accept();
  peer.ack(await peer.expect('send', { to: 'bob', data: 'hi', event: 'wink' }), { connections: 2 });
  assert.deepEqual(await sending, { connections: 2 });
});

test('send and request are not repeated after a drop, reading is', async (t) => {
  const parts = await setup(t);
  const { linnet, server } = parts;
  const sending = assert.rejects(linnet.send('bob', 1), { code: 'outcome_unknown' });
  const asking = assert.rejects(linnet.request('price', {}), { code: 'outcome_unknown' });
  const reading = linnet.room('a').presence();
  const first = await server.accept();
  for (const type of ['send', 'request', 'presence']) await first.expect(type);
  const peer = await drop(parts, first);
  await Promise.all([sending, asking]);
  peer.ack(await peer.expect('presence'), { version: 1, count: 12 });
  assert.deepEqual(await reading, { count: 12 });
});

test('request resolves with the answer', async (t) => {
  const { server, linnet } = await setup(t);
  const asking = linnet.request('price', { item: 1 });
  const peer = await server.accept();
  peer.ack(await peer.expect('request', { event: 'price', data: { item: 1 } }), { data: { price: 2 } });
  assert.deepEqual(await asking, { price: 2 });
});

test('direct messages are events', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const direct = next(linnet, 'direct');
  (await server.accept()).send({ type: 'direct', from: 'bob', data: 'hi', timestamp: 1 });
  assert.deepEqual(await direct, { from: 'bob', event: undefined, data: 'hi', timestamp: 1 });
});
