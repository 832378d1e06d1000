import assert from 'node:assert/strict';
import test from 'node:test';
import { ack, message, stored } from './support/server.js';
import { next, record, setup } from './support/setup.js';

async function told(t) {
  const parts = await setup(t);
  const room = parts.linnet.room('lobby');
  const seen = record(room);
  const subscribed = room.subscribe();
  const old = await parts.server.accept();
  old.ack(await old.expect('subscribe'), { epoch: 'e', offset: 10 });
  await subscribed;
  const gone = [];
  parts.linnet.on('disconnected', (event) => gone.push(event));
  old.send({ type: 'goaway', within_ms: 5000 });
  const fresh = await parts.server.accept({ gateway: 'gw-2', connection: '~two' });
  return { ...parts, room, seen, old, fresh, gone };
}

test('goaway: the new connection takes over before the old one is closed, without loss or repeats', async (t) => {
  const { linnet, seen, old, fresh, gone } = await told(t);
  const request = await fresh.expect('subscribe', { since: { epoch: 'e', offset: 10 } });
  old.send(message('lobby', 11), message('lobby', 12));
  await seen.until('m12');
  fresh.send(
    ack(request, {
      epoch: 'e',
      offset: 13,
      recovered: true,
      messages: [11, 12, 13].map((n) => stored(n)),
      more: false,
    }),
    message('lobby', 14),
  );
  await seen.until('m14');
  assert.equal(await old.closed, 1000);
  assert.deepEqual([...seen], ['m11', 'm12', '(m13)', 'resumed 1', 'm14']);
  assert.equal(linnet.gateway, 'gw-2');
  assert.deepEqual(gone, []);
});

test('a gap on the old connection is closed by the new one', async (t) => {
  const { seen, old, fresh } = await told(t);
  const request = await fresh.expect('subscribe');
  old.send(
    message('lobby', 11),
    { type: 'gap', room: 'lobby', reason: 'lagged', epoch: 'e', offset: 13 },
    message('lobby', 14),
  );
  await seen.until('m11');
  fresh.ack(request, {
    epoch: 'e',
    offset: 14,
    recovered: true,
    messages: [11, 12, 13, 14].map((n) => stored(n)),
    more: false,
  });
  await seen.until('resumed 3');
  assert.deepEqual([...seen], ['m11', '(m12)', '(m13)', '(m14)', 'resumed 3']);
});

test('the old connection may end before the move is done', async (t) => {
  const { server, linnet, seen, old, fresh } = await told(t);
  const request = await fresh.expect('subscribe');
  old.close(1012, 'draining');
  await old.closed;
  fresh.ack(request, { epoch: 'e', offset: 11, recovered: true, messages: [stored(11)], more: false });
  await seen.until('resumed 1');
  assert.deepEqual([linnet.state, server.waiting], ['connected', 0]);
});

test('answers that the old connection owes are awaited', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const old = await server.accept();
  const publishing = linnet.room('a').publish('x');
  const request = await old.expect('publish');
  old.send({ type: 'goaway', within_ms: 5000 });
  await server.accept({ gateway: 'gw-2' });
  old.ack(request, { epoch: 'e', offset: 1, timestamp: 1 });
  assert.equal((await publishing).offset, 1);
  assert.equal(await old.closed, 1000);
});

test('being replaced by the own new connection is no reason to stop', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const old = await server.accept();
  old.send({ type: 'goaway', within_ms: 5000 });
  const fresh = await server.open();
  const gone = next(linnet, 'disconnected');
  old.close(4004, 'replaced');
  assert.equal((await gone).retryInMs, 0);
  const connected = next(linnet, 'connected');
  await fresh.greet({ gateway: 'gw-2' });
  await connected;
  assert.equal(linnet.state, 'connected');
});

test('a connection lost while the move waits for its token makes one new connection, not two', async (t) => {
  const tokens = [];
  const { server, clock, linnet } = await setup(t, { token: () => new Promise((resolve) => tokens.push(resolve)) });
  linnet.connect();
  tokens[0]('a');
  const old = await server.accept();
  const moving = next(linnet, 'moving');
  old.send({ type: 'goaway', within_ms: 5000 });
  await moving;
  const gone = next(linnet, 'disconnected');
  old.drop();
  clock.advance((await gone).retryInMs);
  tokens[1]('b');
  tokens[2]('c');
  const fresh = await server.accept();
  assert.equal(fresh.hello.token, 'c');
  assert.equal(server.waiting, 0);
});

test('a move that fails is tried again while the old connection serves', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const old = await server.accept();
  old.send({ type: 'goaway', within_ms: 5000 });
  (await server.open()).drop();
  await clock.timer(500);
  assert.equal(linnet.state, 'connected');
  clock.advance(500);
  const moved = next(linnet, 'connected');
  await server.accept({ gateway: 'gw-2' });
  assert.equal((await moved).moved, true);
  assert.equal(await old.closed, 1000);
});

test('a move while earlier messages are fetched loses none of them', async (t) => {
  const { server, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const seen = record(room);
  room.subscribe({ history: 5 });
  const old = await server.accept();
  old.ack(await old.expect('subscribe'), { epoch: 'e', offset: 10 });
  await old.expect('history');
  old.send({ type: 'goaway', within_ms: 5000 });
  const fresh = await server.accept({ gateway: 'gw-2' });
  fresh.ack(await fresh.expect('subscribe', { since: undefined }), { epoch: 'e', offset: 11 });
  fresh.ack(await fresh.expect('history', { before: 12 }), {
    epoch: 'e',
    messages: [stored(10), stored(11)],
    more: false,
  });
  await seen.until('(m11)');
  assert.deepEqual([...seen], ['(m10)', '(m11)']);
});
