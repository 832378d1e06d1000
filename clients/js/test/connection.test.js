import assert from 'node:assert/strict';
import test from 'node:test';
import { describeClose, Linnet } from '../src/linnet.js';
import { next, setup } from './support/setup.js';

test('connect introduces itself first and resolves with what the greeting said', async (t) => {
  const { server, linnet } = await setup(t, { name: 'Ann', token: 'abc' });
  const connecting = linnet.connect();
  const peer = await server.accept({ user: 'ann', gateway: 'gw-7' });
  const info = await connecting;
  assert.deepEqual(peer.hello, { type: 'connect', token: 'abc', info: { name: 'Ann' }, id: 1 });
  assert.deepEqual(info, { connectionId: '~one', userId: 'ann', gateway: 'gw-7', limits: {} });
  assert.equal(linnet.state, 'connected');
  assert.ok(linnet.isMe('ann'));
});

test('the ack of connect may come before the greeting', async (t) => {
  const { server, linnet } = await setup(t);
  const connecting = linnet.connect();
  const peer = await server.open();
  peer.ack(await peer.expect('connect'), { connection_id: '~a', session: 's', user_id: 'u' });
  peer.send({ type: 'connected', connection_id: '~a', session: 's', gateway: 'g', ping: 25, timeout: 10, limits: {} });
  assert.equal((await connecting).userId, 'u');
});

test('the first operation connects', async (t) => {
  const { server, linnet } = await setup(t);
  const answer = linnet.room('a').history({ limit: 1 });
  const peer = await server.accept();
  peer.ack(await peer.expect('history', { room: 'a', limit: 1 }), { epoch: 'e', messages: [], more: false });
  assert.deepEqual(await answer, { epoch: 'e', messages: [], more: false });
});

test('a reconnect continues the session and tells when it will be', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const first = await server.accept({ session: 'mine' });
  await next(linnet, 'connected');
  const gone = next(linnet, 'disconnected');
  first.drop();
  const { code, retryInMs } = await gone;
  assert.deepEqual([code, retryInMs, linnet.state], [1006, 500, 'waiting']);
  clock.advance(500);
  const second = await server.accept({ session: 'mine' });
  assert.equal(second.hello.session, 'mine');
});

test('backoff doubles up to its bound, and starts small again after a good connection', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const delays = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    const gone = next(linnet, 'disconnected');
    (await server.open()).drop();
    const { retryInMs } = await gone;
    delays.push(retryInMs);
    clock.advance(retryInMs);
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 15000, 15000]);
  const peer = await server.accept();
  await next(linnet, 'connected');
  clock.advance(10_000);
  const gone = next(linnet, 'disconnected');
  peer.drop();
  assert.equal((await gone).retryInMs, 500);
});

test('connect() cuts a wait short', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const gone = next(linnet, 'disconnected');
  (await server.open()).drop();
  await gone;
  const again = linnet.connect();
  await server.accept();
  await again;
});

for (const code of [4001, 4004, 4099]) {
  test(`after ${code} it stays away and says why`, async (t) => {
    const { server, linnet } = await setup(t);
    linnet.connect();
    const peer = await server.accept();
    await next(linnet, 'connected');
    const failed = next(linnet, 'error');
    const gone = next(linnet, 'disconnected');
    peer.close(code, 'reason');
    assert.equal((await gone).retryInMs, null);
    assert.deepEqual([(await failed).code, (await failed).closeCode, linnet.state], ['reason', code, 'failed']);
    await assert.rejects(linnet.room('a').publish(1), { code: 'reason' });
  });
}

test('a refused connect is final, and connect() with a new token tries again', async (t) => {
  const { server, linnet } = await setup(t, { token: 'old' });
  const connecting = linnet.connect();
  const peer = await server.open();
  peer.refuse(await peer.expect('connect'), 'invalid_token');
  await assert.rejects(connecting, { code: 'invalid_token', closeCode: 4002 });
  assert.equal(linnet.state, 'failed');
  linnet.refresh('new').catch(() => {});
  const again = linnet.connect();
  const other = await server.accept();
  assert.equal(other.hello.token, 'new');
  await again;
});

test('a token that ran out is fetched anew, one that was never good is not', async (t) => {
  let count = 0;
  const { server, clock, linnet } = await setup(t, { token: async () => `t${++count}` });
  linnet.connect();
  const first = await server.accept();
  await next(linnet, 'connected');
  const gone = next(linnet, 'disconnected');
  first.close(4002, 'invalid_token');
  clock.advance((await gone).retryInMs);
  const second = await server.open();
  const hello = await second.expect('connect');
  assert.equal(hello.token, 't2');
  const failed = next(linnet, 'error');
  second.close(4002, 'invalid_token');
  assert.equal((await failed).code, 'invalid_token');
});

test('a connection whose token ends comes back with a new one, and stays away where there is none', async (t) => {
  let count = 0;
  const { server, clock, linnet } = await setup(t, { token: () => `t${++count}` });
  linnet.connect();
  const first = await server.accept({ user: 'ann' });
  await next(linnet, 'connected');
  const gone = next(linnet, 'disconnected');
  first.close(4201, 'token_expired');
  const { retryInMs } = await gone;
  assert.ok(retryInMs <= 1000);
  clock.advance(retryInMs);
  const { hello } = await server.accept({ user: 'ann' });
  assert.equal(hello.token, 't2');

  const other = await setup(t, { token: 'always' });
  other.linnet.connect();
  const peer = await other.server.accept({ user: 'ann' });
  await next(other.linnet, 'connected');
  const end = next(other.linnet, 'disconnected');
  peer.close(4201, 'token_expired');
  assert.equal((await end).retryInMs, null);
});

test('a server without keys is asked again later', async (t) => {
  const { server, clock, linnet } = await setup(t, { token: 'abc' });
  const connecting = linnet.connect();
  const gone = next(linnet, 'disconnected');
  const peer = await server.open();
  peer.refuse(await peer.expect('connect'), 'keys_unavailable');
  clock.advance((await gone).retryInMs);
  await server.accept({ user: 'ann' });
  assert.equal((await connecting).userId, 'ann');
});

test('token_expiring brings a refresh with a fresh token', async (t) => {
  let count = 0;
  const { server, linnet } = await setup(t, { token: () => `t${++count}` });
  linnet.connect();
  const peer = await server.accept();
  peer.send({ type: 'token_expiring', within_ms: 1000 });
  await peer.expect('refresh', { token: 't2' });
});

test('a refused overload at connect backs off', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const gone = next(linnet, 'disconnected');
  const peer = await server.open();
  peer.refuse(await peer.expect('connect'), 'overloaded');
  assert.equal((await gone).retryInMs, 500);
});

test('1012 comes back within a second, however often', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  for (let round = 0; round < 4; round += 1) {
    const gone = next(linnet, 'disconnected');
    (await server.accept()).close(1012, 'draining');
    const { retryInMs } = await gone;
    assert.equal(retryInMs, 500);
    clock.advance(retryInMs);
  }
});

test('after 1009 what was in flight is refused and not repeated', async (t) => {
  const { server, clock, linnet } = await setup(t);
  const publishing = linnet.room('a').publish('big');
  const peer = await server.accept();
  await peer.expect('publish');
  const gone = next(linnet, 'disconnected');
  peer.close(1009, 'message_too_large');
  await assert.rejects(publishing, { code: 'message_too_large', closeCode: 1009 });
  clock.advance((await gone).retryInMs);
  const again = await server.accept();
  assert.deepEqual(again.unread, []);
});

test('after 1008 with nothing in flight it stops: the next connection would do the same', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const failed = next(linnet, 'error');
  (await server.accept()).close(1008, '');
  assert.equal((await failed).closeCode, 1008);
});

test('silence is answered with a ping, and a ping without answer ends the connection', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const peer = await server.accept();
  await next(linnet, 'connected');
  clock.advance(25_000);
  await peer.expect('ping');
  const direct = next(linnet, 'direct');
  peer.send({ type: 'pong' }, { type: 'direct', from: '~x', data: 1, timestamp: 1 });
  await direct;
  clock.advance(24_000);
  assert.equal(linnet.state, 'connected');
  clock.advance(1_000);
  await peer.expect('ping');
  const gone = next(linnet, 'disconnected');
  clock.advance(10_000);
  assert.equal((await gone).reason, 'no answer to a ping');
});

test('a busy connection is not pinged', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  const peer = await server.accept();
  await next(linnet, 'connected');
  for (let round = 0; round < 5; round += 1) {
    clock.advance(20_000);
    const direct = next(linnet, 'direct');
    peer.send({ type: 'direct', from: '~x', data: round, timestamp: 1 });
    await direct;
  }
  assert.deepEqual(peer.unread, []);
});

test('a room that the handler chose is told of, and is no message of the room', async (t) => {
  const { server, linnet } = await setup(t);
  const room = linnet.room('news');
  const [told, first] = [next(linnet, 'subscribed'), next(room, 'message')];
  room.subscribe();
  const peer = await server.accept();
  peer.ack(await peer.expect('subscribe', { room: 'news' }));
  peer.send({ type: 'subscribed', room: 'news' }, { type: 'message', room: 'news', data: 1, timestamp: 1 });
  assert.deepEqual(await told, { room: 'news' });
  assert.equal((await first).data, 1);
});

test('the words of an application that refuses or disconnects are no code', async (t) => {
  for (const [closeCode, code] of [[4007, 'disconnected'], [4013, 'rejected']]) {
    const { server, linnet } = await setup(t);
    linnet.connect().catch(() => {});
    const peer = await server.accept();
    await next(linnet, 'connected');
    const failed = next(linnet, 'error');
    peer.close(closeCode, 'not today');
    assert.equal((await failed).code, code);
  }
});

test('a server that never greets is given up', async (t) => {
  const { server, clock, linnet } = await setup(t);
  linnet.connect();
  await (await server.open()).expect('connect');
  const gone = next(linnet, 'disconnected');
  clock.advance(10_000);
  assert.equal((await gone).reason, 'no greeting in time');
});

test('errors without a request are events', async (t) => {
  const { server, linnet } = await setup(t);
  linnet.connect();
  const error = next(linnet, 'error');
  (await server.accept()).send({ type: 'error', code: 'bad_request', message: 'what?' });
  assert.equal((await error).code, 'bad_request');
});

test('close rejects what waits and ends the connection', async (t) => {
  const { server, linnet } = await setup(t);
  const history = linnet.room('a').history();
  const joining = linnet.room('b').subscribe();
  const peer = await server.accept();
  await peer.next();
  linnet.close();
  await assert.rejects(history, { code: 'closed' });
  await assert.rejects(joining, { code: 'closed' });
  assert.equal(await peer.closed, 1000);
  await assert.rejects(linnet.connect(), { code: 'closed' });
});

test('an AbortSignal ends a wait, and one given to the client closes it', async (t) => {
  const stop = new AbortController();
  const { linnet } = await setup(t, { signal: stop.signal });
  const one = new AbortController();
  const waiting = linnet.connect({ signal: one.signal });
  one.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  stop.abort();
  assert.equal(linnet.state, 'closed');
});

test('a handler that throws is reported and harms nobody else', async (t) => {
  const { server, linnet } = await setup(t);
  const reported = new Promise((resolve) => (globalThis.reportError = resolve));
  t.after(() => delete globalThis.reportError);
  linnet.on('connected', () => {
    throw new Error('mine');
  });
  linnet.connect();
  await server.accept();
  await next(linnet, 'connected');
  assert.equal((await reported).message, 'mine');
});

test('without a WebSocket it says what to do', { skip: globalThis.WebSocket !== undefined }, async () => {
  await assert.rejects(new Linnet('ws://localhost/ws').connect(), { code: 'no_websocket' });
});

test('http URLs become ws URLs', async () => {
  const urls = [];
  class Recorder {
    constructor(url) {
      urls.push(url);
      throw new Error('not really');
    }
  }
  for (const url of ['http://a/ws', 'https://a/chat/ws?x=1#y', new URL('wss://a/ws')]) {
    await assert.rejects(new Linnet(url, { WebSocket: Recorder }).connect(), { code: 'bad_url' });
  }
  assert.deepEqual(urls, ['ws://a/ws', 'wss://a/chat/ws?x=1', 'wss://a/ws']);
});

test('close codes say what to do', () => {
  const then = (code) => describeClose(code).then;
  assert.deepEqual([4000, 4099, 4100, 4199, 4200, 4299, 4300].map(then), [
    'stop',
    'stop',
    'back-off',
    'back-off',
    'soon',
    'soon',
    'back-off',
  ]);
  assert.deepEqual([1000, 1001, 1006, 1011, 1012, 1013].map(then), [
    'back-off',
    'back-off',
    'back-off',
    'back-off',
    'soon',
    'back-off',
  ]);
  assert.deepEqual([1002, 1003, 1007, 1008, 1009].map(then), Array(5).fill('careful'));
});
