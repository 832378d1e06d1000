import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';

/**
 * A WebSocket server without a mind of its own: the test is the script. It takes connections one after the other with
 * `accept()`, and says for each what is expected and what is answered.
 */
export class ScriptedServer {
  #server;
  #peers = [];
  #takers = [];

  static async start() {
    const server = new ScriptedServer();
    server.#server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'linnet.v1.json' });
    server.#server.on('connection', (socket) => {
      const peer = new Peer(socket);
      const taker = server.#takers.shift();
      if (taker) taker(peer);
      else server.#peers.push(peer);
    });
    await once(server.#server, 'listening');
    return server;
  }

  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}/ws`;
  }

  get waiting() {
    return this.#peers.length;
  }

  /** The next connection, before any greeting. */
  async open() {
    return this.#peers.shift() ?? new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The next connection, greeted; its `connect` request is in `peer.hello`. */
  async accept(greeting = {}) {
    const peer = await this.open();
    await peer.greet(greeting);
    return peer;
  }

  async stop() {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

class Peer {
  #socket;
  #frames = [];
  #taker = null;
  hello;

  constructor(socket) {
    this.#socket = socket;
    this.closed = once(socket, 'close').then(([code]) => code);
    socket.on('message', (data) => {
      const frame = JSON.parse(data);
      if (this.#taker) this.#taker(frame);
      else this.#frames.push(frame);
      this.#taker = null;
    });
  }

  async greet({ session = 'secret-1', connection = '~one', user, gateway = 'gw-1', ...rest } = {}) {
    const identity = { connection_id: connection, session, ...(user && { user_id: user }) };
    this.hello = await this.expect('connect');
    this.send({ type: 'connected', ...identity, gateway, ping: 25, timeout: 10, limits: {}, ...rest });
    this.ack(this.hello, identity);
  }

  send(...frames) {
    // In one packet, as a busy server does: the client must cope with frames that arrive in one task.
    this.#socket._socket.cork();
    for (const frame of frames) this.#socket.send(JSON.stringify(frame));
    this.#socket._socket.uncork();
  }

  sendText(text) {
    this.#socket.send(text);
  }

  ack(request, fields = {}) {
    this.send(ack(request, fields));
  }

  refuse(request, code, fields = {}) {
    this.send({ type: 'error', id: request.id, code, message: code, ...fields });
  }

  async next() {
    return this.#frames.shift() ?? new Promise((resolve) => (this.#taker = resolve));
  }

  /** The next request, which must be of that type and have these fields. */
  async expect(type, fields = {}) {
    const frame = await this.next();
    assert.equal(frame.type, type, `expected ${type}, got ${JSON.stringify(frame)}`);
    for (const [name, value] of Object.entries(fields))
      assert.deepEqual(frame[name], value, `${name} of ${JSON.stringify(frame)}`);
    return frame;
  }

  /** Requests that came and were not looked at yet. */
  get unread() {
    return this.#frames;
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }

  /** Gone without a word, as when a network breaks. */
  drop() {
    this.#socket.terminate();
  }
}

export function ack(request, fields = {}) {
  return { type: 'ack', id: request.id, ...fields };
}

export function message(room, offset, data = `m${offset}`, fields = {}) {
  return { type: 'message', room, offset, from: '~other', data, timestamp: 1_700_000_000_000 + offset, ...fields };
}

/** The same as it stands in an ack. */
export function stored(offset, data = `m${offset}`) {
  return { offset, from: '~other', data, timestamp: 1_700_000_000_000 + offset };
}
