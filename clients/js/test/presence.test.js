import assert from 'node:assert/strict';
import test from 'node:test';
import { ack } from './support/server.js';
import { next, setup } from './support/setup.js';

const member = (id) => ({ connection_id: id, info: { name: id.slice(1) } });

async function watching(t) {
  const parts = await setup(t);
  const room = parts.linnet.room('lobby');
  const events = [];
  const waiters = [];
  room.on('presence', ({ count, joined, left }) => {
    events.push(
      `${count}${joined.map(({ connectionId }) => ` +${connectionId}`).join('')}${left.map(({ connectionId }) => ` -${connectionId}`).join('')}`,
    );
    waiters.splice(0).forEach((resolve) => resolve());
  });
  const subscribed = room.subscribe({ presence: true });
  const peer = await parts.server.accept();
  peer.ack(await peer.expect('subscribe', { presence: true }), { epoch: 'e', offset: 0 });
  await subscribed;
  return { ...parts, room, peer, events, changed: () => new Promise((resolve) => waiters.push(resolve)) };
}

test('a snapshot in pages, and what changed meanwhile', async (t) => {
  const { room, peer, events, changed } = await watching(t);
  peer.ack(await peer.expect('presence', { room: 'lobby' }), {
    version: 3,
    members: [member('~a'), member('~b')],
    more: true,
  });
  const page = await peer.expect('presence', { after: '~b' });
  peer.send(
    { type: 'presence', room: 'lobby', version: 4, leave: [member('~a')], join: [member('~d')] },
    ack(page, { version: 4, members: [member('~c'), member('~d')], more: false }),
  );
  await changed();
  assert.deepEqual(events, ['4 +~a +~b +~c +~d', '3 -~a']);
  assert.deepEqual(
    room.members.map(({ info }) => info.name),
    ['b', 'c', 'd'],
  );
  assert.equal(room.memberCount, 3);
});

test('a page over the rate is asked for again after the wait', async (t) => {
  const { room, clock, peer, changed } = await watching(t);
  peer.ack(await peer.expect('presence'), { version: 3, members: [member('~a')], more: true });
  peer.refuse(await peer.expect('presence', { after: '~a' }), 'rate_limited', { retry_after_ms: 70 });
  await clock.timer(70);
  clock.advance(70);
  peer.ack(await peer.expect('presence', { after: '~a' }), { version: 3, members: [member('~b')], more: false });
  await changed();
  assert.equal(room.memberCount, 2);
});

test('a jump in the version asks again', async (t) => {
  const { peer, events, changed } = await watching(t);
  peer.ack(await peer.expect('presence'), { version: 1, members: [member('~a')], more: false });
  await changed();
  peer.send({ type: 'presence', room: 'lobby', version: 3, join: [member('~c')] });
  peer.ack(await peer.expect('presence'), { version: 3, members: [member('~b'), member('~c')], more: false });
  await changed();
  assert.deepEqual(events, ['1 +~a', '2 +~b +~c -~a']);
});

test('a crowded room only counts, and lists again when it empties', async (t) => {
  const { room, peer, changed } = await watching(t);
  peer.ack(await peer.expect('presence'), { version: 1, members: [member('~a')], more: false });
  await changed();
  peer.send({ type: 'presence', room: 'lobby', version: 2, count: 1001 });
  await changed();
  assert.deepEqual([room.members, room.memberCount], [null, 1001]);
  peer.send({ type: 'presence', room: 'lobby', version: 3, join: [member('~b')] });
  peer.ack(await peer.expect('presence'), { version: 3, members: [member('~b')], more: false });
  await changed();
  assert.equal(room.memberCount, 1);
});

test('after a reconnect only the difference is news', async (t) => {
  const { server, clock, linnet, peer, events, changed } = await watching(t);
  peer.ack(await peer.expect('presence'), { version: 9, members: [member('~a'), member('~b')], more: false });
  await changed();
  const gone = next(linnet, 'disconnected');
  peer.drop();
  clock.advance((await gone).retryInMs);
  const other = await server.accept();
  other.ack(await other.expect('subscribe', { presence: true }), {
    epoch: 'e',
    offset: 0,
    recovered: true,
    messages: [],
    more: false,
  });
  other.ack(await other.expect('presence'), { version: 1, members: [member('~b'), member('~c')], more: false });
  await changed();
  assert.deepEqual(events, ['2 +~a +~b', '2 +~c -~a']);
});

test('a room without presence is subscribed all the same', async (t) => {
  const { server, linnet } = await setup(t);
  const room = linnet.room('lobby');
  const subscribed = room.subscribe({ presence: true });
  const peer = await server.accept();
  peer.refuse(await peer.expect('subscribe', { presence: true }), 'no_presence');
  peer.ack(await peer.expect('subscribe', { presence: undefined }), { epoch: 'e', offset: 0 });
  await subscribed;
  assert.equal(room.members, null);
});

test('presence() collects all pages without a subscription', async (t) => {
  const { server, linnet } = await setup(t);
  const asking = linnet.room('lobby').presence();
  const peer = await server.accept();
  peer.ack(await peer.expect('presence'), { version: 1, members: [member('~a')], more: true });
  peer.ack(await peer.expect('presence', { after: '~a' }), { version: 1, members: [member('~b')], more: false });
  const { count, members } = await asking;
  assert.deepEqual([count, members.map(({ connectionId }) => connectionId)], [2, ['~a', '~b']]);
});
