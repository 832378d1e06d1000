/**
 * The Linnet client: rooms over WebSocket, in browsers and in Node.
 *
 * From the outside in:
 *
 *   Linnet, Room    what an application holds
 *   Core            which connection is in use; when to reconnect, move or stop
 *   Subscription    one room: position, resume, gaps        Roster   who is in it
 *   Outbox          what was asked for and not yet answered; what may be sent again
 *   Link            one WebSocket: greeting, requests, liveness
 *
 * Frames are handled in the task that delivers them, by callbacks rather than awaits: some
 * WebSockets deliver several frames in one task, and an ack must take effect before the frame after it.
 */

const SUBPROTOCOL = 'linnet.v1.json';

/** The greeting must be there by then, or the attempt counts as failed. */
const HANDSHAKE_MS = 10_000;
/** Backoff: a random part of min(MAX, BASE · 2^attempt), "full jitter". */
const BACKOFF_BASE_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
/** A connection that lived this long was a good one: the next backoff starts small again. */
const STABLE_MS = 10_000;
/** The server's largest page, of messages and of members. */
const PAGE = 100;

/* ------------------------------------------------------------------------- errors and close codes */

/**
 * Everything this library rejects with. `code` is the server's error code, or one of the client's own:
 * `timeout`, `closed`, `queue_full`, `message_too_large`, and `outcome_unknown` where a request
 * was sent, its answer never came, and sending it again could do it twice.
 */
export class LinnetError extends Error {
  constructor(code, message, details = {}) {
    super(message ?? code);
    this.name = 'LinnetError';
    /** @type {string} */
    this.code = code;
    Object.assign(this, details);
  }
}

const CLOSE_MEANINGS = {
  1000: 'closed normally',
  1001: 'the other side is going away',
  1002: 'WebSocket protocol error',
  1003: 'a kind of data that this protocol does not take',
  1005: 'closed without a code',
  1006: 'the connection broke, or was never made',
  1007: 'text that is not UTF-8',
  1008: 'refused by policy',
  1009: 'a message over the size limit',
  1011: 'the server failed',
  1012: 'the gateway is restarting or draining',
  1013: 'the server is overloaded',
  4001: 'no valid identity: a token is needed',
  4002: 'the token was refused',
  4003: 'not allowed here',
  4004: 'replaced by a newer connection of the same user',
  4005: 'no identity was given in time',
  4006: 'the user was signed out',
  4007: 'a service of the application closed the connection',
  4008: 'the server did not understand this client',
  4009: 'not a valid room name',
  4010: 'too many rooms on one connection',
  4011: 'the channel does not offer this',
  4012: 'this way to connect was switched off',
  4013: 'the application refused this client',
  4100: 'this client read too slowly',
  4101: 'too many requests',
  4102: 'the gateway is overloaded',
  4103: 'the broker can not be reached',
  4104: 'the server heard nothing from this client',
  4106: 'the broker has no room for messages',
  4107: 'what the channel may store is used up',
  4108: 'the broker stores nothing',
  4109: 'the broker does not let the gateway in',
  4110: 'the broker does not let the gateway publish this',
  4111: 'the server can not check tokens now',
  4200: 'messages were missed',
  4201: 'the token has expired',
};

/**
 * What a close code means, and what this library does about it.
 *
 * `then` is `stop` (coming back would end the same way), `back-off`, `soon` (after a random 0–1 s), or
 * `careful`: what was in flight is refused and never sent again; with nothing in flight, the next
 * connection would only repeat what this one did, so the client stops.
 *
 * @param {number} code
 * @returns {{meaning: string, then: 'stop' | 'back-off' | 'soon' | 'careful'}}
 */
export function describeClose(code) {
  const within = (from, to) => code >= from && code <= to;
  let then = 'back-off';
  if (within(4000, 4099)) then = 'stop';
  else if (within(4200, 4299) || code === 1012) then = 'soon';
  else if ([1002, 1003, 1007, 1008, 1009].includes(code)) then = 'careful';
  const meaning =
    CLOSE_MEANINGS[code] ?? (then === 'stop' ? 'refused' : then === 'soon' ? 'the server asks to come back' : 'closed');
  return { meaning, then };
}

/** The request did nothing, and may work in a moment. */
const TRY_AGAIN = new Set([
  'rate_limited',
  'overloaded',
  'unavailable',
  'storage_full',
  'storage_limit',
  'no_storage',
  'broker_unauthorized',
  'broker_denied',
  'keys_unavailable',
]);
/** Codes that a `connect` may fail with and still succeed later; any other is final. */
const CONNECT_AGAIN = new Set([
  ...TRY_AGAIN,
  'internal',
  'outcome_unknown',
  'draining',
  'handler_failed',
  'handler_timeout',
]);
/** Closes whose reason is the application's words, and no code. */
const WORDS_FOR_A_REASON = { 4007: 'disconnected', 4013: 'rejected' };
/** The close codes that stand for errors of `connect`. */
const CONNECT_CLOSE = {
  draining: 1012,
  unauthenticated: 4001,
  invalid_token: 4002,
  // As the one before: a token that was never good is not asked for again.
  token_expired: 4002,
  revoked: 4006,
  forbidden: 4003,
  connect_timeout: 4005,
  rejected: 4013,
};

/* ------------------------------------------------------------------------------------ small parts */

const systemClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** A handler that throws is reported as uncaught, and harms neither the client nor other handlers. */
class Emitter {
  #handlers = new Map();

  on(type, handler) {
    if (typeof handler !== 'function') throw new TypeError(`the handler of "${type}" is not a function`);
    let handlers = this.#handlers.get(type);
    if (!handlers) this.#handlers.set(type, (handlers = new Set()));
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  off(type, handler) {
    this.#handlers.get(type)?.delete(handler);
  }

  once(type, handler) {
    const off = this.on(type, (value) => {
      off();
      handler(value);
    });
    return off;
  }

  emit(type, value) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(value);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}

const reportUncaught = (error) =>
  globalThis.reportError
    ? globalThis.reportError(error)
    : queueMicrotask(() => {
        throw error;
      });

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  // A client that failed tells each waiting promise; the ones that nobody holds are not news.
  parts.promise.catch(() => {});
  return parts;
}

/** `promise`, unless `signal` aborts first. */
function orAborted(promise, signal) {
  if (!signal) return promise;
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** 22 characters, 132 random bits: never the same twice. */
const newMessageId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(22)), (byte) => ALPHABET[byte & 63]).join('');

function toBase64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** `{data}` or `{data, encoding}` as it goes into a frame, and its size as the server counts it. */
function encodeData(data) {
  if (data instanceof ArrayBuffer) data = new Uint8Array(data);
  if (ArrayBuffer.isView(data)) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { fields: { data: toBase64(bytes), encoding: 'base64' }, size: () => bytes.length };
  }
  const text = JSON.stringify(data);
  if (text === undefined) throw new TypeError('data must be a JSON value, an ArrayBuffer or a typed array');
  return {
    fields: { data },
    size: (limit) => (text.length * 3 <= limit ? text.length : new TextEncoder().encode(text).length),
  };
}

function fromWire(frame, room, replayed) {
  const message = { from: frame.from, event: frame.event, data: frame.data, timestamp: frame.timestamp };
  if (frame.encoding === 'base64') message.data = fromBase64(frame.data);
  if (frame.info !== undefined) message.info = frame.info;
  if (room === undefined) return message;
  return { room, offset: frame.offset, ...message, replayed };
}

function memberFromWire(member) {
  return { connectionId: member.connection_id, userId: member.user_id, info: member.info };
}

/** The frame without the fields that were not given. */
function frameOf(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** An endpoint as `ws:` or `wss:`; in a page it may be relative to the page. */
function endpoint(url) {
  const full = new URL(url, globalThis.location?.href);
  full.protocol = full.protocol.replace(/^http/, 'ws');
  full.hash = '';
  return full.href;
}

/* ------------------------------------------------------------------------------------------- Link */

/**
 * One WebSocket, from its handshake to its end. It is ready once it was greeted and its `connect`, always the
 * first request, was acked. `events.closed` is called exactly once, also where the socket never tells.
 */
class Link {
  #socket;
  #clock;
  #events;
  #nextId = 1;
  #pending = new Map();
  #timer;
  #heard;
  #probing = false;
  #greeted = false;
  #acked = false;
  #over = false;

  /** When it became ready, on the clock; null before. */
  readyAt = null;
  connectionId;
  userId;
  session;
  gateway;
  limits = {};
  #pingMs = 25_000;
  #timeoutMs = 10_000;

  constructor({ url, WebSocket, clock, hello, events }) {
    this.#clock = clock;
    this.#events = events;
    const socket = (this.#socket = new WebSocket(url, [SUBPROTOCOL]));
    socket.onopen = () =>
      this.request(
        frameOf({ type: 'connect', ...hello }),
        (ack) => this.#welcome(ack, 'ack'),
        (error) => this.#refused(error),
      );
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
    // An error is followed by a close, which says more.
    socket.onerror = () => {};
    this.#timer = clock.setTimeout(() => this.#end(1006, 'no greeting in time'), HANDSHAKE_MS);
  }

  get ready() {
    return this.readyAt !== null && !this.#over;
  }

  /** Whether requests wait for their answers. */
  get busy() {
    return this.#pending.size > 0;
  }

  /** Sends a request; exactly one of the callbacks is called, within the task that brings the answer. */
  request(frame, ack, fail) {
    const id = this.#nextId++;
    this.#pending.set(id, { ack, fail });
    this.#send({ ...frame, id });
  }

  /** Asks for a sign of life. */
  probe() {
    if (!this.ready || this.#probing) return;
    this.#probing = true;
    this.#send({ type: 'ping' });
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#end(1006, 'no answer to a ping'), this.#timeoutMs);
  }

  /** Fails what was not answered. The owner calls it once it has taken note of the end. */
  abandon(error) {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { fail } of pending) fail(error);
  }

  close(code = 1000, reason = '') {
    this.#end(code, reason);
  }

  #send(frame) {
    // A socket that is closing drops what it is given; the end of the link then fails the request.
    if (!this.#over && this.#socket.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #receive(text) {
    if (this.#over) return;
    this.#heard = this.#clock.now();
    if (typeof text !== 'string') return;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#end(1006, 'the server sent something that is not JSON');
    }
    if (this.#probing) this.#watch();
    switch (frame.type) {
      case 'ack':
      case 'error': {
        const waiting = this.#pending.get(frame.id);
        if (waiting) {
          this.#pending.delete(frame.id);
          if (frame.type === 'ack') waiting.ack(frame);
          else waiting.fail(errorFromWire(frame));
        } else if (frame.type === 'error') this.#events.error(errorFromWire(frame));
        return;
      }
      case 'connected':
        return this.#welcome(frame, 'greeting');
      case 'pong':
        return;
      default:
        this.#events.frame(this, frame);
    }
  }

  /** The greeting and the ack of `connect` come in either order; what the ack says is newer. */
  #welcome(frame, which) {
    if (which === 'greeting') {
      this.#greeted = true;
      this.gateway = frame.gateway;
      this.limits = frame.limits ?? {};
      if (frame.ping > 0) this.#pingMs = frame.ping * 1000;
      if (frame.timeout > 0) this.#timeoutMs = frame.timeout * 1000;
    }
    if (which === 'ack' || !this.#acked) {
      this.connectionId = frame.connection_id ?? this.connectionId;
      this.session = frame.session ?? this.session;
      this.userId = frame.user_id ?? this.userId;
    }
    if (which === 'ack') this.#acked = true;
    if (!this.#greeted || !this.#acked || this.readyAt !== null) return;
    this.readyAt = this.#clock.now();
    this.#watch();
    this.#events.ready(this);
  }

  #refused(error) {
    if (this.#over || error.code === 'lost') return;
    const code = CONNECT_CLOSE[error.code] ?? (CONNECT_AGAIN.has(error.code) ? 4102 : 4008);
    this.#end(code, error.code, error);
  }

  /**
   * Looks after silence. A browser does not show the server's pings, so silence is answered with a question, and
   * only an unanswered question ends the link: after a sleep of the machine, elapsed time alone says nothing.
   */
  #watch(ms = this.#pingMs) {
    this.#probing = false;
    this.#clock.clearTimeout(this.#timer);
    // The timer looks at the time when it fires, so that a busy connection does not rearm it per frame.
    this.#timer = this.#clock.setTimeout(() => {
      const silent = this.#clock.now() - this.#heard;
      if (silent < this.#pingMs) this.#watch(this.#pingMs - silent);
      else this.probe();
    }, ms);
  }

  #end(code, reason, error) {
    if (this.#over) return;
    this.#over = true;
    this.#clock.clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    try {
      // Applications may only close with 1000 or 3000–4999.
      if (socket.readyState < 2) socket.close(1000);
    } catch {
      // It could not be closed before it was open, which is as good.
    }
    this.#events.closed(this, { code, reason: reason ?? '', error });
  }
}

function errorFromWire({ code, message, retry_after_ms, pointer, reason }) {
  return new LinnetError(code, message, frameOf({ retryAfterMs: retry_after_ms, pointer, reason }));
}

/* ----------------------------------------------------------------------------------------- Outbox */

/**
 * What may be sent again when its answer never came. `publish` has a message id, which makes that safe in a room
 * that deduplicates, and only there: without history the room would show the message twice. Reading
 * twice is harmless; a `send` or a `request` done twice is not.
 */
const RESEND = {
  publish: (entry) => entry.resend ?? entry.deduplicates(),
  send: (entry) => entry.resend ?? false,
  request: () => false,
  read: () => true,
};

/**
 * Requests in the order in which they were made, until each has its answer. They wait here while there is no
 * connection, and keep below the server's rate instead of running into it, since floods end in a close.
 */
class Outbox {
  #core;
  #waiting = [];
  #sent = new Set();
  #nextPlace = 1;
  #resumeAt = 0;
  #timer;
  #bucket = { link: null, tokens: 0, at: 0 };
  #paced;

  constructor(core, { paced }) {
    this.#core = core;
    this.#paced = paced;
  }

  /** How many requests are out on `link`. */
  sentOn(link) {
    let count = 0;
    for (const entry of this.#sent) if (entry.link === link) count += 1;
    return count;
  }

  /** Resolves with the ack. `entry`: {kind, frame, resend?, deduplicates?, timeoutMs, signal?} */
  add(entry) {
    const { signal } = entry;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#waiting.length + this.#sent.size >= this.#core.maxPending) {
      return Promise.reject(new LinnetError('queue_full', `${this.#core.maxPending} requests are waiting already`));
    }
    return new Promise((resolve, reject) => {
      const { clock } = this.#core;
      Object.assign(entry, { place: this.#nextPlace++, tries: 0, uncertain: false, link: null, done: false });
      const settle = (finish) => (value) => {
        if (entry.done) return;
        entry.done = true;
        clock.clearTimeout(deadline);
        signal?.removeEventListener('abort', abort);
        if (!this.#sent.delete(entry)) this.#waiting = this.#waiting.filter((other) => other !== entry);
        finish(value);
      };
      const abort = () => entry.reject(signal.reason);
      entry.resolve = settle(resolve);
      entry.reject = settle(reject);
      signal?.addEventListener('abort', abort, { once: true });
      const deadline = clock.setTimeout(() => entry.reject(this.#tooLate(entry)), entry.timeoutMs);
      this.#waiting.push(entry);
      this.flush();
    });
  }

  /** Sends what may be sent now. */
  flush() {
    const { clock } = this.#core;
    clock.clearTimeout(this.#timer);
    while (this.#waiting.length > 0) {
      const link = this.#core.link;
      if (!link) return;
      const wait = Math.max(this.#resumeAt - clock.now(), this.#paced ? this.#untilToken(link) : 0);
      if (wait > 0) {
        this.#timer = clock.setTimeout(() => this.flush(), Math.ceil(wait));
        return;
      }
      this.#bucket.tokens -= 1;
      this.#send(this.#waiting.shift(), link);
    }
  }

  failAll(error) {
    for (const entry of [...this.#waiting, ...this.#sent]) entry.reject(error);
    this.#core.clock.clearTimeout(this.#timer);
  }

  #send(entry, link) {
    // Deduplication is by publisher. Another publisher's copy would be a second message.
    if (entry.uncertain && entry.kind === 'publish' && entry.scope !== this.#core.scope) {
      entry.reject(unanswered(entry, 'the session was not continued'));
      return;
    }
    entry.scope = this.#core.scope;
    entry.link = link;
    this.#sent.add(entry);
    link.request(
      entry.frame,
      (ack) => {
        entry.resolve(ack);
        this.#core.answered();
      },
      (error) => {
        this.#sent.delete(entry);
        if (!entry.done) this.#failed(entry, error);
        this.#core.answered();
      },
    );
  }

  #failed(entry, error) {
    const unknown = error.code === 'outcome_unknown';
    if (error.code === 'lost') {
      if (error.suspect && entry.kind !== 'read') return entry.reject(error.suspect);
      entry.uncertain = true;
      if (!RESEND[entry.kind](entry)) return entry.reject(unanswered(entry, error.message));
    } else if (unknown) {
      entry.uncertain = true;
      // Only rooms with a store answer so; the protocol asks for the same id again.
      if (entry.kind !== 'publish' || entry.resend === false || entry.deduplicates() === false)
        return entry.reject(error);
    } else if (!TRY_AGAIN.has(error.code)) return entry.reject(error);
    else if (entry.kind === 'request' && error.code === 'unavailable') return entry.reject(error);

    entry.tries += 1;
    entry.lastError = error;
    // Back to its place: what was asked for later waits too, so that the order stays.
    const at = this.#waiting.findIndex((other) => other.place > entry.place);
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, entry);
    if (error.code !== 'lost') {
      const pause = error.retryAfterMs ?? this.#core.backoff(entry.tries - 1);
      this.#resumeAt = Math.max(this.#resumeAt, this.#core.clock.now() + pause);
    }
    this.flush();
  }

  #tooLate(entry) {
    if (entry.kind !== 'read' && (entry.uncertain || this.#sent.has(entry)))
      return unanswered(entry, 'no answer in time');
    return new LinnetError(
      'timeout',
      `not answered within ${entry.timeoutMs} ms`,
      entry.lastError ? { cause: entry.lastError } : {},
    );
  }

  /** Milliseconds until the server's rate allows one more on this connection. */
  #untilToken(link) {
    const { messages_per_second: rate, message_burst: burst } = link.limits;
    if (!(rate > 0)) return 0;
    const most = burst > 0 ? burst : rate;
    const now = this.#core.clock.now();
    const bucket = this.#bucket;
    if (bucket.link !== link) Object.assign(bucket, { link, tokens: most, at: now });
    bucket.tokens = Math.min(most, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    bucket.at = now;
    return bucket.tokens >= 1 ? 0 : ((1 - bucket.tokens) / rate) * 1000;
  }
}

function unanswered(entry, why) {
  const hint =
    entry.kind === 'publish' ? ' (publishing again with the same messageId is safe where the room keeps history)' : '';
  return new LinnetError(
    'outcome_unknown',
    `it may or may not have arrived: ${why}${hint}`,
    frameOf({ messageId: entry.frame.message_id }),
  );
}

/* ----------------------------------------------------------------------------------------- Roster */

/** Who is in a room: a snapshot, kept current by frames whose versions count up by one. */
class Roster {
  #room;
  #core;
  #members = null;
  #count;
  #version;
  #held = null;
  #link = null;
  #emit;

  constructor(core, room, emit) {
    this.#core = core;
    this.#room = room;
    this.#emit = emit;
  }

  get members() {
    return this.#members && [...this.#members.values()];
  }

  get count() {
    return this.#members?.size ?? this.#count;
  }

  /** Asks for a snapshot; frames that come meanwhile wait for it. */
  start(link) {
    this.#link = link;
    this.#held = [];
    const held = this.#held;
    const members = new Map();
    let version;
    const ask = (after) =>
      link.request(
        frameOf({ type: 'presence', room: this.#room, after }),
        (ack) => {
          if (this.#held !== held) return;
          // Frames newer than the first page are applied to all pages: joining and leaving twice is harmless.
          version ??= ack.version;
          for (const member of ack.members ?? []) members.set(member.connection_id, memberFromWire(member));
          if (ack.more && ack.members?.length > 0) return ask(ack.members.at(-1).connection_id);
          this.#held = null;
          this.#version = version;
          this.#replace(ack.count === undefined ? members : null, ack.count);
          for (const frame of held) this.frame(frame);
        },
        (error) => {
          if (this.#held !== held) return;
          if (TRY_AGAIN.has(error.code)) {
            this.#core.clock.setTimeout(
              () => this.#held === held && ask(after),
              error.retryAfterMs ?? this.#core.backoff(1),
            );
          } else if (error.code !== 'lost') this.stop();
        },
      );
    ask();
  }

  /** Nothing is known any more. */
  stop() {
    this.#held = this.#link = this.#members = null;
    this.#count = this.#version = undefined;
  }

  frame(frame) {
    if (!this.#link) return;
    if (this.#held) return void this.#held.push(frame);
    if (frame.version <= this.#version) return;
    const counted = frame.count !== undefined;
    if (frame.version !== this.#version + 1 || (!counted && !this.#members)) return this.start(this.#link);
    this.#version = frame.version;
    if (counted) return this.#replace(null, frame.count);
    const members = new Map(this.#members);
    for (const { connection_id } of frame.leave ?? []) members.delete(connection_id);
    for (const member of frame.join ?? []) members.set(member.connection_id, memberFromWire(member));
    this.#replace(members);
  }

  #replace(members, count) {
    const before = this.#members ?? new Map();
    this.#members = members;
    this.#count = count;
    const joined = members ? [...members.values()].filter(({ connectionId }) => !before.has(connectionId)) : [];
    const left = members ? [...before.values()].filter(({ connectionId }) => !members.has(connectionId)) : [];
    this.#emit('presence', { members: this.members, count: this.count, joined, left });
  }
}

/* ----------------------------------------------------------------------------------- Subscription */

/**
 * One room of this client. What a subscriber sees is each message once and in order, and a `gap` wherever
 * that can't be promised.
 *
 *   off ──want──▶ waiting ──subscribe──▶ resuming (pages) ──▶ filling (earlier messages) ──▶ live
 *                    ▲                       ▲                                                │
 *                    └── connection lost     └── gap, other options, or a move ───────────────┘
 *
 * Only frames of `#link` count. `#held`, where it is not null, takes frames that must wait for older messages.
 */
class Subscription {
  #core;
  #name;
  #emit;
  #wanted = null;
  #link = null;
  #entry = null;
  #position = null;
  #held = null;
  #deferred = null;
  #wasLive = false;
  #state = 'off';
  /** Whether the room keeps history, hence deduplicates: unknown until an answer shows it. */
  keepsHistory;
  roster;

  constructor(core, name, emit) {
    this.#core = core;
    this.#name = name;
    this.#emit = emit;
    this.roster = new Roster(core, name, emit);
  }

  get position() {
    return this.#position && { ...this.#position };
  }

  get state() {
    return this.#state;
  }

  /** Whether a connection is still working on bringing this room to life. */
  get entering() {
    return this.#entry !== null;
  }

  want({ history = 0, presence = false, since, signal } = {}) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const had = this.#wanted;
    this.#wanted = { history, presence };
    if (!had && since) this.#position = { epoch: since.epoch, offset: since.offset };
    if (had && this.#state === 'live' && had.presence === presence) return Promise.resolve(this.#summary());
    this.#deferred ??= deferred();
    const { promise } = this.#deferred;
    if (!had) {
      this.#become('waiting');
      const mine = this.#deferred;
      signal?.addEventListener('abort', () => mine === this.#deferred && this.unwant(), { once: true });
    }
    const { link } = this.#core;
    const asked = this.#entry?.link === link && this.#entry?.presence === presence;
    if (link && !asked) this.enter(link, had ? 'options' : 'subscribe');
    return orAborted(promise, signal);
  }

  /** Leaves the room, and resolves when the server knows. */
  unwant() {
    const was = this.#state;
    this.leave();
    this.#core.answered();
    const { link } = this.#core;
    if (was === 'off' || !link) return Promise.resolve();
    // A connection that is lost meanwhile has left the room too.
    return new Promise((resolve) =>
      link.request(
        { type: 'unsubscribe', room: this.#name },
        () => resolve(),
        () => resolve(),
      ),
    );
  }

  /** Ends it here, without a word to the server. */
  leave(error = new LinnetError('closed', `left ${this.#name}`)) {
    this.#wanted = this.#entry = this.#link = this.#held = this.#position = null;
    this.#wasLive = false;
    this.roster.stop();
    this.#become('off');
    this.fail(error);
  }

  /** Tells the one who waits that it will not be, for now. */
  fail(error) {
    this.#deferred?.reject(error);
    this.#deferred = null;
  }

  /** `link` is ready: be subscribed there. Frames of an older link count until the server has acked. */
  enter(link, cause) {
    if (!this.#wanted) return;
    if (cause === 'ready') cause = this.#link ? 'moved' : this.#wasLive ? 'disconnected' : 'subscribe';
    const former = this.#entry;
    // Earlier messages were about to be shown: begin again before them.
    if (former?.filling) this.#position = former.before;
    if (former && cause === 'options') cause = former.cause;
    // The old connection had not caught up: its live messages would hide the ones before them.
    if (former && former.link !== link) this.#link = this.#held = null;
    if (this.#link === link) this.#held ??= [];
    this.#entry = {
      link,
      cause,
      presence: this.#wanted.presence,
      before: this.position,
      missed: former?.missed ?? 0,
      tries: 0,
      filling: false,
    };
    if (this.#state !== 'live' || this.#held) this.#become('resuming');
    this.#ask(this.#entry);
  }

  /** `link` is gone. What was held back will come again: the position is still before it. */
  detach(link) {
    if (this.#entry?.link === link) {
      if (this.#entry.filling) this.#position = this.#entry.before;
      this.#entry = null;
      if (this.#link !== null && this.#link !== link) return;
    }
    if (this.#link !== null && this.#link !== link) return;
    this.#link = this.#held = null;
    if (this.#wanted) this.#become(this.#entry ? 'resuming' : 'waiting');
  }

  frame(link, frame) {
    if (frame.type === 'unsubscribed') return this.#ended(link, frame);
    if (link !== this.#link) return;
    if (frame.type === 'presence') return this.roster.frame(frame);
    if (frame.type === 'gap') return this.#gap(link, frame);
    if (this.#held) this.#held.push(frame);
    else this.#deliver(frame, false);
  }

  #gap(link, frame) {
    if (this.#entry && this.#entry.link !== link) {
      // Moving away already. Later messages of the old connection would hide what the new one is about to replay.
      if (this.keepsHistory) this.#link = null;
      else this.#lostSome(frame.reason);
    } else if (this.#held && this.#entry && !this.#entry.filling) {
      // The answer to the question that is out covers this gap too.
    } else if (this.#held) this.#held.push(frame);
    else if (this.keepsHistory) this.enter(link, frame.reason);
    else this.#lostSome(frame.reason);
  }

  #ended(link, { code, message }) {
    if (link !== this.#link && link !== this.#entry?.link) return;
    if (code === 'catch_up_timeout') return this.enter(link, 'disconnected');
    // Told by a connection that is being left; the new one answers for itself.
    if (this.#entry && link !== this.#entry.link) return void (this.#link = null);
    this.#emit('unsubscribed', { code, message });
    this.leave(new LinnetError(code, message));
    this.#core.answered();
  }

  #ask(entry) {
    const since = this.position ?? undefined;
    entry.link.request(
      frameOf({ type: 'subscribe', room: this.#name, since, presence: entry.presence || undefined }),
      (ack) => entry === this.#entry && this.#acked(entry, ack, since),
      (error) => entry === this.#entry && this.#refused(entry, error),
    );
  }

  #refused(entry, error) {
    if (error.code === 'lost') return;
    if (TRY_AGAIN.has(error.code) || error.code === 'internal') {
      // Spread: many rooms that are refused at once must not come back at once.
      const ms = (error.retryAfterMs ?? 0) + this.#core.backoff(entry.tries++);
      this.#core.clock.setTimeout(() => entry === this.#entry && this.#ask(entry), ms);
    } else if (error.code === 'no_presence' && entry.presence) {
      entry.presence = false;
      this.#ask(entry);
    } else {
      this.#emit('unsubscribed', { code: error.code, message: error.message });
      this.leave(error);
      this.#core.answered();
    }
  }

  #acked(entry, ack, since) {
    this.#link = entry.link;
    this.keepsHistory = ack.epoch !== undefined;
    if (!this.keepsHistory) {
      this.#position = null;
      // Without positions nobody can prove that nothing was missed.
      if (since || (entry.cause !== 'subscribe' && entry.cause !== 'options')) this.#lostSome(entry.cause);
      return this.#live(entry, false);
    }
    if (!since) return this.#fill(entry, ack, -1);
    if (ack.recovered === false) return this.#unrecovered(entry, ack, since);

    for (const message of ack.messages ?? []) {
      if (this.#deliver(message, true)) entry.missed += 1;
      if (entry !== this.#entry) return;
    }
    if (ack.more) {
      const last = ack.messages?.at(-1)?.offset ?? ack.offset;
      // A page that leads nowhere would be asked for forever.
      if (last > since.offset) return this.#ask(entry);
      return this.#unrecovered(entry, ack, since);
    }
    this.#advance(ack.epoch, ack.offset);
    this.#live(entry, entry.cause !== 'options');
  }

  #unrecovered(entry, ack, since) {
    this.#lostSome(entry.cause, since, ack);
    if (entry !== this.#entry) return;
    this.#fill(entry, ack, since.epoch === ack.epoch ? since.offset : -1);
  }

  /** Live from the ack's position on, after the latest of the messages between `floor` and there. */
  #fill(entry, ack, floor) {
    const early = [...(this.#held ?? []), ...(ack.messages ?? [])].filter((frame) => frame.type !== 'gap');
    const wanted = this.#wanted.history;
    this.#position = { epoch: ack.epoch, offset: ack.offset };
    this.#held = [];
    entry.filling = true;
    const found = new Map(early.map((frame) => [frame.offset, frame]));
    const done = () => {
      if (entry !== this.#entry) return;
      const messages = [...found.values()]
        .filter(({ offset }) => offset > floor && offset <= ack.offset)
        .sort((a, b) => a.offset - b.offset);
      for (const message of messages) {
        this.#emit('message', fromWire(message, this.#name, true));
        if (entry !== this.#entry) return;
      }
      this.#live(entry, false);
    };
    const ask = (before, missing) => {
      if (missing <= 0 || before <= 0) return done();
      entry.link.request(
        { type: 'history', room: this.#name, before, limit: Math.min(missing, PAGE) },
        (page) => {
          if (entry !== this.#entry) return;
          for (const message of page.messages) found.set(message.offset, message);
          if (!page.more || page.messages.length === 0) return done();
          ask(page.messages[0].offset, missing - page.messages.length);
        },
        (error) => {
          if (error.code === 'lost') return;
          if (!TRY_AGAIN.has(error.code)) return done();
          const again = () => entry === this.#entry && ask(before, missing);
          this.#core.clock.setTimeout(again, error.retryAfterMs ?? this.#core.backoff(1));
        },
      );
    };
    ask(ack.offset + 1, wanted);
  }

  #live(entry, resumed) {
    const held = this.#held ?? [];
    this.#entry = this.#held = null;
    this.#wasLive = true;
    this.#become('live');
    if (resumed) this.#emit('resumed', { missed: entry.missed, cause: entry.cause });
    if (entry.presence && this.#wanted) this.roster.start(entry.link);
    else this.roster.stop();
    this.#deferred?.resolve(this.#summary());
    this.#deferred = null;
    for (const frame of held) this.frame(entry.link, frame);
    this.#core.answered();
  }

  /** Hands a message on, unless it is a repeat. */
  #deliver(frame, replayed) {
    if (frame.offset !== undefined && this.#position) {
      if (frame.offset <= this.#position.offset) return false;
      this.#position.offset = frame.offset;
    }
    this.#emit('message', fromWire(frame, this.#name, replayed));
    return true;
  }

  #advance(epoch, offset) {
    if (this.#position?.epoch === epoch) this.#position.offset = Math.max(this.#position.offset, offset);
    else this.#position = { epoch, offset };
  }

  #lostSome(reason, since, ack) {
    const gap = { reason };
    if (since) gap.since = { ...since };
    if (ack) gap.position = { epoch: ack.epoch, offset: ack.offset };
    this.#emit('gap', gap);
  }

  #summary() {
    return { keepsHistory: this.keepsHistory, position: this.position };
  }

  #become(state) {
    if (state === this.#state) return;
    const previous = this.#state;
    this.#state = state;
    this.#emit('state', { state, previous });
  }
}

/* ------------------------------------------------------------------------------------------- Core */

/**
 * The connection in use, and the way to the next one.
 *
 *   idle ──▶ connecting ──▶ connected ──▶ waiting ──▶ connecting …      failed: the server said not to come back
 *                               └ goaway: a second link opens while the first still serves   closed: by the application
 */
class Core {
  clock;
  maxPending;
  #url;
  #options;
  #emit;
  #state = 'idle';
  #link = null;
  #opening = null;
  #leaving = null;
  #timer;
  #turn = 0;
  #attempt = 0;
  #session;
  #error = null;
  #ready = deferred();
  #ids = new Set();
  #info = null;
  #unlisten = () => {};
  subscriptions = new Map();
  writes;
  reads;

  constructor(url, options, emit) {
    this.#url = endpoint(url);
    this.#options = options;
    this.#emit = emit;
    this.clock = options.clock ?? systemClock;
    this.maxPending = options.maxPending ?? 1000;
    this.#session = options.session;
    this.writes = new Outbox(this, { paced: true });
    this.reads = new Outbox(this, { paced: false });
    this.#listen();
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
    if (options.signal?.aborted) this.close();
  }

  get state() {
    return this.#state;
  }

  /** What the server said of the current or the latest connection. */
  get info() {
    return this.#info;
  }

  get session() {
    return this.#session;
  }

  /** The ready connection that requests go to. */
  get link() {
    return this.#link;
  }

  /** Whom the server takes this client for when it looks for repeats. */
  get scope() {
    return this.#info?.userId ?? this.#session;
  }

  isMe(from) {
    return this.#ids.has(from);
  }

  /** Milliseconds to wait before try number `attempt`, counted from 0: exponential, with full jitter. */
  backoff(attempt) {
    return this.#random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** attempt);
  }

  /** Connects, where nothing else is under way; a wait is cut short. */
  connect() {
    if (this.#state === 'closed') return Promise.reject(this.#error);
    if (this.#state === 'failed') {
      this.#error = null;
      this.#attempt = 0;
      this.#ready = deferred();
    }
    if (['idle', 'waiting', 'failed'].includes(this.#state)) this.#open();
    return this.#ready.promise;
  }

  /** For every operation: begins connecting if nobody did, and throws where it would be in vain. */
  ensure() {
    if (this.#error) throw this.#error;
    if (this.#state === 'idle') this.#open();
  }

  close() {
    if (this.#state === 'closed') return;
    this.#unlisten();
    this.#finish('closed', new LinnetError('closed', 'the client was closed'));
  }

  subscription(name, emit) {
    let subscription = this.subscriptions.get(name);
    if (!subscription) this.subscriptions.set(name, (subscription = new Subscription(this, name, emit)));
    return subscription;
  }

  async refresh(token) {
    this.ensure();
    const link = this.#link;
    // Without a connection, the next one brings the new token.
    if (!link) return;
    await new Promise((resolve, reject) => link.request({ type: 'refresh', token }, resolve, reject));
  }

  set token(token) {
    this.#options = { ...this.#options, token };
  }

  /** Something that a connection was waiting for is done: the one that we leave may be free now. */
  answered() {
    const leaving = this.#leaving;
    if (!leaving || leaving.busy) return;
    if (!this.#link || [...this.subscriptions.values()].some(({ entering }) => entering)) return;
    this.#leaving = null;
    leaving.close();
  }

  #random() {
    return (this.#options.random ?? Math.random)();
  }

  async #open() {
    const turn = ++this.#turn;
    this.clock.clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#link) this.#become('connecting');
    const { token, info, WebSocket = globalThis.WebSocket } = this.#options;
    if (!WebSocket) {
      return this.#finish(
        'failed',
        new LinnetError(
          'no_websocket',
          'there is no global WebSocket here: pass one as an option, such as that of the package "ws"',
        ),
      );
    }
    const hello = { token, session: this.#session, info };
    if (typeof token === 'function') {
      try {
        hello.token = await token();
        if (turn !== this.#turn) return;
      } catch (error) {
        if (turn !== this.#turn) return;
        this.#emit(
          'error',
          new LinnetError('token', `no token could be had: ${error?.message ?? error}`, { cause: error }),
        );
        return this.#again({ code: 1006, reason: 'no token' }, this.backoff(this.#attempt++));
      }
    }
    try {
      this.#opening = new Link({ url: this.#url, WebSocket, clock: this.clock, hello, events: this.#events });
    } catch (error) {
      // What a WebSocket throws at once (a wrong URL, a page that may not connect there) stays wrong.
      this.#finish('failed', new LinnetError('bad_url', error.message, { cause: error }));
    }
  }

  #events = {
    ready: (link) => this.#readied(link),
    frame: (link, frame) => this.#frame(link, frame),
    closed: (link, end) => this.#lost(link, end),
    error: (error) => this.#emit('error', error),
  };

  #readied(link) {
    const former = this.#link;
    const { connectionId, userId, gateway, limits, session } = link;
    this.#opening = null;
    this.#leaving?.close();
    this.#leaving = former;
    this.#link = link;
    this.#session = session;
    this.#info = { connectionId, userId, gateway, limits };
    this.#ids.add(userId ?? connectionId);
    this.#become('connected');
    this.#emit('connected', { ...this.#info, moved: former !== null });
    this.#ready.resolve(this.#info);
    for (const subscription of this.subscriptions.values()) {
      if (link === this.#link) subscription.enter(link, 'ready');
    }
    this.writes.flush();
    this.reads.flush();
    this.answered();
  }

  #frame(link, frame) {
    // It is no message of the room, and the application may not know of the room yet.
    if (frame.type === 'subscribed') {
      if (link === this.#link) this.#emit('subscribed', { room: frame.room });
      return;
    }
    if (frame.room !== undefined) return this.subscriptions.get(frame.room)?.frame(link, frame);
    if (link !== this.#link && link !== this.#leaving) return;
    if (frame.type === 'direct') this.#emit('direct', fromWire(frame));
    else if (frame.type === 'goaway') this.#goaway(link, frame.within_ms);
    else if (frame.type === 'token_expiring') this.#expiring(frame.within_ms);
  }

  /** Connect elsewhere first; the old connection serves until the new one took its rooms over. */
  #goaway(link, withinMs) {
    if (link !== this.#link || this.#opening || this.#timer) return;
    this.#emit('moving', { gateway: link.gateway, withinMs });
    this.#open();
  }

  async #expiring(withinMs) {
    this.#emit('tokenexpiring', { withinMs });
    if (typeof this.#options.token !== 'function') return;
    try {
      await this.refresh(await this.#options.token());
    } catch (error) {
      if (error.code !== 'lost') this.#emit('error', error);
    }
  }

  #lost(link, { code, reason, error }) {
    if (link === this.#leaving) this.#leaving = null;
    const was = link === this.#link ? 'current' : link === this.#opening ? 'opening' : 'former';
    if (was === 'current') this.#link = null;
    if (was === 'opening') this.#opening = null;
    for (const subscription of this.subscriptions.values()) subscription.detach(link);

    const { meaning, then } = describeClose(code);
    const careful = then === 'careful';
    const suspects = this.writes.sentOn(link);
    const text = `the connection was closed: ${code} ${reason || meaning}`;
    const lost = new LinnetError('lost', text);
    if (careful)
      lost.suspect = new LinnetError(reason || 'outcome_unknown', `${text}, while this was in flight`, {
        closeCode: code,
      });
    link.abandon(lost);
    if (was === 'former' || this.#state === 'closed' || this.#state === 'failed') return;

    if (link.readyAt !== null && this.clock.now() - link.readyAt >= STABLE_MS) this.#attempt = 0;
    if (was === 'current' && this.#opening) {
      // It went before the move was done, which goes on; `replaced` even means that it nearly is.
      this.#become('connecting');
      this.#ready = deferred();
      this.#emit('disconnected', { code, reason, meaning, retryInMs: 0 });
      return;
    }
    // A token that was good before has run out: there may be a new one.
    const newToken =
      link.readyAt !== null && typeof this.#options.token === 'function' && (code === 4001 || code === 4002);
    // A text is the same token again, and would be refused for ever.
    const spent = code === 4201 && typeof this.#options.token !== 'function';
    const stop = spent || (then === 'stop' && !newToken) || (careful && suspects === 0);
    if (stop) {
      this.#emit('disconnected', { code, reason, meaning, retryInMs: null });
      return this.#finish(
        'failed',
        new LinnetError(
          WORDS_FOR_A_REASON[code] ?? (reason || 'refused'),
          error?.message ?? `${meaning} (${code} ${reason})`,
          frameOf({ closeCode: code, reason: error?.reason }),
        ),
      );
    }
    const delay = then === 'soon' ? this.#random() * 1000 : this.backoff(this.#attempt);
    this.#attempt += 1;
    this.#again({ code, reason, meaning }, delay);
  }

  #again(why, delay) {
    // An attempt that still waits for its token is given up.
    this.#turn += 1;
    this.clock.clearTimeout(this.#timer);
    this.#timer = this.clock.setTimeout(() => this.#open(), delay);
    // Still served by the connection that is to be left.
    if (this.#link) return;
    if (this.#state === 'connected') this.#ready = deferred();
    this.#become('waiting');
    this.#emit('disconnected', { meaning: describeClose(why.code).meaning, ...why, retryInMs: Math.round(delay) });
  }

  #finish(state, error) {
    this.#turn += 1;
    this.#error = error;
    this.clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#become(state);
    for (const outbox of [this.writes, this.reads]) outbox.failAll(error);
    const links = [this.#link, this.#opening, this.#leaving];
    this.#link = this.#opening = this.#leaving = null;
    for (const link of links) link?.close();
    for (const subscription of this.subscriptions.values()) subscription.fail(error);
    this.#ready.reject(error);
    if (state === 'failed') this.#emit('error', error);
  }

  #become(state) {
    if (state === this.#state) return;
    const previous = this.#state;
    this.#state = state;
    this.#emit('state', { state, previous });
  }

  /** A page learns from the browser when the network is back: no need to sit out the wait. */
  #listen() {
    if (typeof globalThis.addEventListener !== 'function') return;
    const online = () => {
      if (this.#link) this.#link.probe();
      else if (this.#state === 'waiting') {
        this.clock.clearTimeout(this.#timer);
        this.#timer = this.clock.setTimeout(() => this.#open(), this.#random() * 1000);
      }
    };
    globalThis.addEventListener('online', online);
    this.#unlisten = () => globalThis.removeEventListener('online', online);
  }
}

/* ---------------------------------------------------------------------------------- Linnet and Room */

/**
 * A client of one channel.
 *
 * @example
 * const linnet = new Linnet('wss://chat.example.com/ws', { name: 'Ann' });
 * const lobby = linnet.room('lobby');
 * lobby.on('message', ({ from, data }) => show(from, data));
 * await lobby.subscribe({ history: 50 });
 * await lobby.publish('Hello');
 */
export class Linnet {
  #core;
  #events = new Emitter();
  #rooms = new Map();
  #timeoutMs;

  /**
   * @param {string | URL} url the channel's WebSocket endpoint; in a page it may be relative
   * @param {import('./linnet.d.ts').LinnetOptions} [options]
   */
  constructor(url, options = {}) {
    const { name, info, timeoutMs = 30_000 } = options;
    this.#timeoutMs = timeoutMs;
    this.#core = new Core(url, { ...options, info: name === undefined ? info : { ...info, name } }, (type, value) =>
      this.#events.emit(type, value),
    );
  }

  /** `idle`, `connecting`, `connected`, `waiting` (for the next attempt), `failed` (the server said not to come back) or `closed`. */
  get state() {
    return this.#core.state;
  }

  get connectionId() {
    return this.#core.info?.connectionId;
  }

  get userId() {
    return this.#core.info?.userId;
  }

  /** The gateway that serves this client. */
  get gateway() {
    return this.#core.info?.gateway;
  }

  get limits() {
    return this.#core.info?.limits;
  }

  /** The secret that lets a later client continue as the same anonymous publisher. Treat it like a password. */
  get session() {
    return this.#core.session;
  }

  /** Whether `from` of a message names this client, in this connection or an earlier one. */
  isMe(from) {
    return this.#core.isMe(from);
  }

  /**
   * Connects. Optional: the first operation does it too. While the client waits for its next attempt, this makes the attempt now.
   * Rejects only where trying again is in vain.
   */
  connect({ signal } = {}) {
    const connecting = orAborted(this.#core.connect(), signal);
    // Whoever does not wait for it learns of a failure by the events.
    connecting.catch(() => {});
    return connecting;
  }

  /** The room of that name; the same object for the same name. */
  room(name) {
    let room = this.#rooms.get(name);
    if (!room) this.#rooms.set(name, (room = new Room(name, this.#core, this.#timeoutMs)));
    return room;
  }

  /** Sends to every connection of a user, or to one anonymous connection. Live only; `connections: 0` says that nobody was there. */
  async send(to, data, { event, messageId = newMessageId(), resend, signal, timeoutMs = this.#timeoutMs } = {}) {
    this.#core.ensure();
    const encoded = encodeData(data);
    mustFit(this.#core, encoded);
    const frame = frameOf({ type: 'send', to, event, ...encoded.fields, message_id: messageId });
    const { connections } = await this.#core.writes.add({ kind: 'send', frame, resend, signal, timeoutMs });
    return { connections };
  }

  /** Asks the channel's handler, and resolves with its answer. Never sent twice. */
  async request(event, data = null, { signal, timeoutMs = this.#timeoutMs } = {}) {
    this.#core.ensure();
    const encoded = encodeData(data);
    mustFit(this.#core, encoded);
    const ack = await this.#core.writes.add({
      kind: 'request',
      frame: { type: 'request', event, ...encoded.fields },
      signal,
      timeoutMs,
    });
    return ack.encoding === 'base64' ? fromBase64(ack.data) : ack.data;
  }

  /** Replaces the token, on the open connection and for later ones. It may not change the user. */
  async refresh(token) {
    this.#core.token = token;
    return this.#core.refresh(typeof token === 'function' ? await token() : token);
  }

  /** Ends the connection for good. What is not answered yet is rejected with `closed`. */
  close() {
    this.#core.close();
  }

  /** Calls `handler` for each such event; returns a function that ends it. */
  on(type, handler) {
    return this.#events.on(type, handler);
  }

  once(type, handler) {
    return this.#events.once(type, handler);
  }

  off(type, handler) {
    this.#events.off(type, handler);
  }
}

/** A room of the channel, as this client sees it. */
class Room {
  #core;
  #events = new Emitter();
  #subscription;
  #timeoutMs;

  constructor(name, core, timeoutMs) {
    /** @readonly */
    this.name = name;
    this.#core = core;
    this.#timeoutMs = timeoutMs;
    this.#subscription = core.subscription(name, (type, value) => this.#events.emit(type, value));
  }

  /** `off`, `waiting` (for a connection), `resuming` or `live`. */
  get state() {
    return this.#subscription.state;
  }

  /** `{epoch, offset}` of the last message seen, to be kept for a later `subscribe({since})`; null without history. */
  get position() {
    return this.#subscription.position;
  }

  /** Who is here, while subscribed with `presence`; null where the room only counts. */
  get members() {
    return this.#subscription.roster.members;
  }

  /** How many are here, while subscribed with `presence`. */
  get memberCount() {
    return this.#subscription.roster.count;
  }

  /** Subscribes, and stays subscribed across reconnects. Resolves when messages are live for the first time. */
  async subscribe(options = {}) {
    this.#core.ensure();
    return this.#subscription.want(options);
  }

  /** Leaves the room. */
  async unsubscribe() {
    return this.#subscription.unwant();
  }

  /** Publishes; needs no subscription. Resolves when the server has the message. */
  async publish(data, { event, messageId = newMessageId(), echo, resend, signal, timeoutMs = this.#timeoutMs } = {}) {
    this.#core.ensure();
    const encoded = encodeData(data);
    mustFit(this.#core, encoded);
    const subscription = this.#subscription;
    const ack = await this.#core.writes.add({
      kind: 'publish',
      frame: frameOf({ type: 'publish', room: this.name, event, ...encoded.fields, message_id: messageId, echo }),
      deduplicates: () => subscription.keepsHistory,
      resend,
      signal,
      timeoutMs,
    });
    subscription.keepsHistory = ack.epoch !== undefined;
    return {
      messageId,
      epoch: ack.epoch,
      offset: ack.offset,
      timestamp: ack.timestamp,
      duplicate: ack.duplicate === true,
    };
  }

  /** Stored messages in order: the newest, or the newest before an offset, or the first after one. */
  async history({ before, after, limit = PAGE, signal, timeoutMs = this.#timeoutMs } = {}) {
    this.#core.ensure();
    let messages = [];
    for (;;) {
      const missing = limit - messages.length;
      const frame = frameOf({ type: 'history', room: this.name, before, after, limit: Math.min(missing, PAGE) });
      const page = await this.#core.reads.add({ kind: 'read', frame, signal, timeoutMs });
      const found = page.messages.map((message) => fromWire(message, this.name, true));
      messages = after === undefined ? [...found, ...messages] : [...messages, ...found];
      const more = page.more === true && found.length > 0;
      if (!more || messages.length >= limit) return { epoch: page.epoch, messages, more };
      if (after === undefined) before = found[0].offset;
      else after = found.at(-1).offset;
    }
  }

  /** Who is here now, all pages of it; `members` is absent where the room only counts. */
  async presence({ signal, timeoutMs = this.#timeoutMs } = {}) {
    this.#core.ensure();
    const members = [];
    let after;
    for (;;) {
      const page = await this.#core.reads.add({
        kind: 'read',
        frame: frameOf({ type: 'presence', room: this.name, after }),
        signal,
        timeoutMs,
      });
      if (page.count !== undefined) return { count: page.count };
      members.push(...page.members.map(memberFromWire));
      if (!page.more || page.members.length === 0) return { count: members.length, members };
      after = members.at(-1).connectionId;
    }
  }

  /** Calls `handler` for each such event; returns a function that ends it. */
  on(type, handler) {
    return this.#events.on(type, handler);
  }

  once(type, handler) {
    return this.#events.once(type, handler);
  }

  off(type, handler) {
    this.#events.off(type, handler);
  }
}

/** A frame far over the limit would end the connection, so it is not sent at all. */
function mustFit(core, { size }) {
  const limit = core.info?.limits?.message_size;
  if (limit === undefined) return;
  const bytes = size(limit);
  if (bytes > limit) throw new LinnetError('message_too_large', `${bytes} bytes of data; this channel takes ${limit}`);
}
