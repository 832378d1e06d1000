/**
 * The console: a page to use and to watch a channel. It holds no connection logic; that is linnet.js. What is
 * here: what the page remembers, one model per room, and the drawing of both.
 *
 * Everything that came over the network is put on the page as text, never as markup.
 */
import { Linnet, describeClose } from './linnet.js';

const BASE = new URL(document.querySelector('meta[name="linnet-base"]').content, location.href);
const CHANNEL = document.querySelector('meta[name="linnet-channel"]').content;
const HOME = 'lobby';

/** How many messages a new room shows, and how many more each "load earlier". */
const FIRST_PAGE = 50;
const NEXT_PAGE = 100;
/** Nodes in the page, and messages in memory, per room: a flood must not freeze the page. */
const MAX_SHOWN = 300;
const MAX_KEPT = 5000;
const MAX_LOG = 200;
/** Messages of one sender stand under one name, and one time, for this long. */
const SAME_SENDER_MS = 4 * 60_000;

const $ = (id) => document.getElementById(id);

function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** localStorage, which a browser may forbid. */
const memory = {
  key: (name) => `linnet${BASE.pathname}${name}`,
  get(name) {
    try {
      return localStorage.getItem(memory.key(name));
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(memory.key(name), value);
    } catch {
      // The page works without a memory.
    }
  },
};

const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const clockSeconds = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const dayTime = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const number = new Intl.NumberFormat();

const timeOf = (timestamp) => {
  const date = new Date(timestamp);
  return (date.toDateString() === new Date().toDateString() ? clockTime : dayTime).format(date);
};
const seconds = (ms) => (ms < 950 ? 'under a second' : `${Math.round(ms / 1000)} s`);
const plural = (count, word) => `${number.format(count)} ${word}${count === 1 ? '' : 's'}`;

/* ----------------------------------------------------------------------------------- who is who */

/** Everyone that this page has been; a new connection of an anonymous person is a new name. */
const myIds = new Set();
const isMe = (id) => myIds.has(id);

const short = (id) => (id?.startsWith('~') ? id.slice(0, 6) : id);

/** A user's id is vouched for by a token and comes first; a name is what someone says of itself. */
function nameOf(id, info) {
  const said = typeof info?.name === 'string' && info.name.trim() ? info.name.trim() : '';
  if (id && !id.startsWith('~')) return { name: id, note: said && said !== id ? said : '' };
  return { name: said || short(id) || 'server', note: said ? short(id) : '' };
}

function avatar(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  const element = make(
    'span',
    `avatar hue-${hash % 8}`,
    [...name].find((character) => /[\p{L}\p{N}]/u.test(character))?.toUpperCase() ?? '·',
  );
  element.setAttribute('aria-hidden', 'true');
  return element;
}

const BIRDS = [
  'Finch',
  'Wren',
  'Robin',
  'Lark',
  'Swift',
  'Heron',
  'Plover',
  'Siskin',
  'Dunlin',
  'Avocet',
  'Curlew',
  'Thrush',
];
const COLOURS = ['Amber', 'Russet', 'Slate', 'Ivory', 'Copper', 'Olive', 'Scarlet', 'Silver', 'Dusky', 'Golden'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

/* -------------------------------------------------------------------------- breaking the connection */

const sockets = new Set();
let offline = false;

/** The browser's WebSocket, which the page can break as a network would. */
class BreakableSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    sockets.add(this);
    this.addEventListener('close', () => sockets.delete(this));
  }

  /** From now on nothing passes, and the client sees what it sees when a network breaks. */
  break() {
    const { onclose } = this;
    sockets.delete(this);
    this.onopen = this.onmessage = this.onclose = null;
    this.close(3000, 'dropped by the console');
    onclose?.({ code: 1006, reason: '' });
  }
}

/** Where there is no network. */
class DeadSocket {
  readyState = 0;
  constructor() {
    setTimeout(() => {
      this.readyState = 3;
      this.onclose?.({ code: 1006, reason: '' });
    }, 50);
  }
  close() {
    this.readyState = 3;
  }
}

function ConsoleSocket(url, protocols) {
  return offline ? new DeadSocket() : new BreakableSocket(url, protocols);
}

function dropConnections() {
  for (const socket of [...sockets]) socket.break();
}

/* -------------------------------------------------------------------------------------- activity */

function log(tone, text, detail) {
  const now = new Date();
  const time = make('time', '', clockSeconds.format(now));
  time.dateTime = now.toISOString();
  const line = make('p', '', text);
  if (detail) line.append(make('small', '', detail));
  const list = $('log');
  list.prepend(make('li', tone, time, line));
  while (list.childElementCount > MAX_LOG) list.lastChild.remove();
  return line;
}

/** Speaks to screen readers, at most once a second, the newest words. */
const speak = (() => {
  let next = '';
  let timer;
  return (text) => {
    next = text;
    timer ??= setTimeout(() => {
      timer = undefined;
      $('announce').textContent = next;
    }, 1000);
  };
})();

/* ----------------------------------------------------------------------------------------- rooms */

/** What the page knows of one room. `items` are messages and notes, oldest first. */
class RoomModel {
  items = [];
  unread = 0;
  /** Own messages without an answer yet: {text, state, problem, again, forget}. */
  pending = new Set();
  draft = '';
  /** False once the server has nothing older. */
  earlier = false;
  /** The slice of `items` on the page; following means that it ends with the newest. */
  from = 0;
  to = 0;
  following = true;
  /** Messages that came while the newest was out of view. */
  below = 0;
  problem = '';
  /** The position to resume from, where the room was attached to an earlier client. */
  kept;
  people = null;
  count;
  #handlers = [];

  constructor(name) {
    this.name = name;
  }

  attach(linnet) {
    this.detach();
    this.room = linnet.room(this.name);
    const on = (type, handler) => this.#handlers.push(this.room.on(type, handler));
    on('message', (message) => this.add({ ...message, gateway: linnet.gateway }));
    on('resumed', ({ missed, cause }) => this.caughtUp(missed, cause));
    on('gap', (gap) => this.gap(gap));
    on('state', () => draw());
    on('presence', ({ members, count }) => {
      this.people = members;
      this.count = count;
      draw();
    });
    on('unsubscribed', ({ code, message }) => {
      this.problem = message || code;
      log('bad', `${this.name}: ${message || code}`, code);
      draw();
    });
    this.problem = '';
    // Without a position to resume from, the stored messages come again.
    if (!this.kept) this.items = this.items.filter(({ offset }) => offset === undefined);
    this.room.subscribe({ history: FIRST_PAGE, presence: true, since: this.kept }).then(
      () => {
        if (this.items.length >= FIRST_PAGE) this.earlier = true;
        draw();
      },
      // Told by `unsubscribed`, or the client was replaced.
      () => {},
    );
  }

  /** Listens no longer: the room's object outlives this model. */
  detach() {
    for (const off of this.#handlers.splice(0)) off();
  }

  add(message) {
    this.items.push(message);
    this.trim();
    if (this !== current || document.hidden) {
      if (!message.replayed && !isMe(message.from)) this.unread += 1;
    } else if (!this.following) this.below += 1;
    if (this === current && !message.replayed && !isMe(message.from)) {
      speak(
        `${nameOf(message.from, message.info).name}: ${typeof message.data === 'string' ? message.data.slice(0, 200) : 'data'}`,
      );
    }
    draw();
  }

  note(tone, text, back = 0) {
    this.items.splice(Math.max(0, this.items.length - back), 0, { note: tone, text });
    draw();
  }

  caughtUp(missed, cause) {
    if (missed === 0) return;
    const text = `${cause === 'moved' ? 'Moved' : 'Caught up'}: ${missed} missed ${missed === 1 ? 'message' : 'messages'}`;
    this.note('good', text, missed);
    log('good', `${this.name}: ${text.charAt(0).toLowerCase()}${text.slice(1)}`);
    if (this !== current) this.unread += missed;
    speak(text);
  }

  gap({ reason, since, position }) {
    const why = {
      disconnected: 'while the connection was away',
      moved: 'while moving to another gateway',
      lagged: 'since this connection fell behind',
      overload: 'since the gateway was overloaded',
      broker_reset: 'since the broker was reset',
      epoch_changed: 'since the room’s history was created anew',
    };
    this.note('warn', `Messages may be missing here, ${why[reason] ?? reason}`);
    log(
      'warn',
      `${this.name}: messages may be missing`,
      since && position ? `${reason}: had ${since.offset}, the room is at ${position.offset}` : reason,
    );
  }

  /** Remembers where to resume when the client is replaced. */
  keepPosition() {
    this.kept = this.room?.position ?? undefined;
  }

  trim() {
    const excess = this.items.length - MAX_KEPT;
    // In large steps, and not under the eyes of someone who reads old messages, within reason.
    const reading = !this.following && this.from < excess && excess < MAX_KEPT;
    if (excess < 500 || reading) return;
    this.items.splice(0, excess);
    this.from = Math.max(0, this.from - excess);
    this.to = Math.max(0, this.to - excess);
    this.earlier = true;
  }

  async loadEarlier() {
    this.following = false;
    if (this.from === 0) {
      const first = this.items.find(({ offset }) => offset !== undefined);
      const page = await this.room.history({ before: first?.offset, limit: NEXT_PAGE });
      this.items.unshift(...page.messages);
      this.from += page.messages.length;
      this.to += page.messages.length;
      this.earlier = page.more;
    }
    this.from = Math.max(0, this.from - NEXT_PAGE);
    this.to = Math.min(this.to, this.from + MAX_SHOWN);
  }

  loadLater() {
    this.to = Math.min(this.items.length, this.to + NEXT_PAGE);
    this.from = Math.max(this.from, this.to - MAX_SHOWN);
  }

  async publish(text, data, options) {
    const entry = { text, state: 'sending' };
    entry.again = async () => {
      entry.state = 'sending';
      draw();
      try {
        await this.room.publish(data, options);
        this.pending.delete(entry);
      } catch (error) {
        entry.state = 'failed';
        entry.problem = error.code === 'outcome_unknown' ? 'It may or may not have arrived.' : error.message;
        log('bad', `${this.name}: not sent`, `${error.code}: ${error.message}`);
        speak('A message was not sent');
      }
      draw();
    };
    entry.forget = () => {
      this.pending.delete(entry);
      draw();
    };
    this.pending.add(entry);
    await entry.again();
  }
}

/** @type {Map<string, RoomModel>} */
const rooms = new Map();
let current;

function join(name) {
  let model = rooms.get(name);
  if (!model) {
    model = new RoomModel(name);
    rooms.set(name, model);
    model.attach(linnet);
    rememberRooms();
  } else if (model.problem) model.attach(linnet);
  return model;
}

function show(model) {
  if (current) current.draft = $('text').value;
  current = model;
  model.unread = 0;
  model.following = true;
  $('text').value = model.draft;
  fitText();
  if (roomOfHash() !== model.name) history.replaceState(null, '', `#room=${encodeURIComponent(model.name)}`);
  feed.clear();
  draw();
}

function leave(model) {
  model.room.unsubscribe();
  model.detach();
  rooms.delete(model.name);
  rememberRooms();
  log('', `Left ${model.name}`);
  show(rooms.values().next().value ?? join(HOME));
}

function rememberRooms() {
  memory.set('rooms', JSON.stringify([...rooms.keys()]));
}

function roomOfHash() {
  return new URLSearchParams(location.hash.slice(1)).get('room');
}

/* ------------------------------------------------------------------------------------- the client */

let linnet;
let retryAt = null;
let failure = null;
let startedAt = 0;
let wasConnected = false;

function start({ name, token, session }) {
  linnet = new Linnet(new URL('ws', BASE), {
    name: name || undefined,
    token: token || undefined,
    session,
    WebSocket: ConsoleSocket,
  });
  failure = null;
  const mine = linnet;
  const on = (type, handler) =>
    linnet.on(type, (event) => {
      if (mine !== linnet) return;
      handler(event);
      draw();
    });
  on('state', ({ state }) => {
    if (state === 'connecting') {
      startedAt = performance.now();
      retryAt = null;
    }
  });
  on('connected', ({ connectionId, userId, gateway, moved }) => {
    wasConnected = true;
    myIds.add(userId ?? connectionId);
    const took = moved ? '' : ` in ${Math.max(1, Math.round(performance.now() - startedAt))} ms`;
    log(
      'good',
      `${moved ? 'Moved' : 'Connected'} to ${gateway}${took}`,
      userId ? `as ${userId}, ${connectionId}` : connectionId,
    );
    speak(`Connected to ${gateway}`);
  });
  on('disconnected', ({ code, reason, meaning, retryInMs }) => {
    const then = {
      stop: 'do not come back',
      'back-off': 'back off',
      soon: 'come back at once',
      careful: 'do not send the same again',
    }[describeClose(code).then];
    const next = retryInMs > 0 ? `, next attempt in ${(retryInMs / 1000).toFixed(1)} s` : '';
    log(
      'bad',
      `${wasConnected ? 'Connection lost' : 'Attempt failed'}: ${code}${reason ? ` ${reason}` : ''}`,
      `${meaning}: ${then}${next}`,
    );
    if (wasConnected) speak('Connection lost');
    wasConnected = false;
    if (retryInMs > 0) retryAt = performance.now() + retryInMs;
  });
  on('moving', ({ gateway, withinMs }) =>
    log('warn', `${gateway} is being drained`, `moving within ${seconds(withinMs)}`),
  );
  on('direct', ({ from, data, event }) =>
    log(
      '',
      `From ${short(from)}: ${event ? `${event} ` : ''}${typeof data === 'string' ? data : JSON.stringify(data)}`,
      'to you alone',
    ),
  );
  on('error', (error) => {
    failure = error;
    // What ended a connection was logged as such.
    if (error.closeCode === undefined) log('bad', error.message, error.code);
    if (linnet.state === 'failed' && [4001, 4002, 4005].includes(error.closeCode)) {
      $('token-details').open = true;
      openDrawer('rooms');
      $('token').focus();
    }
  });
  linnet.connect();
}

/** A name or a token belongs to a connection: a new one takes the place of the old, and the rooms resume there. */
function restart() {
  const name = $('name').value.trim();
  const token = $('token').value.trim();
  const sameUser = token === applied.token;
  applied = { name, token };
  memory.set('name', name);
  for (const model of rooms.values()) model.keepPosition();
  const former = linnet;
  log('', `Reconnecting as ${name || 'nobody in particular'}`);
  start({ name, token, session: sameUser ? former.session : undefined });
  former.close();
  for (const model of rooms.values()) model.attach(linnet);
  draw();
}

let applied = { name: memory.get('name') ?? `${pick(COLOURS)} ${pick(BIRDS)}`, token: '' };

/* ---------------------------------------------------------------------------------------- the feed */

/** Draws the current room's slice of messages, touching only the nodes that changed. */
const feed = {
  nodes: new Map(),

  clear() {
    this.nodes.clear();
    $('feed').replaceChildren();
  },

  draw(model) {
    const list = $('feed');
    if (model.following) {
      model.to = model.items.length;
      model.from = Math.max(0, Math.min(model.from, model.to), model.to - MAX_SHOWN);
    } else if (model.to - model.from < MAX_SHOWN) {
      model.to = Math.min(model.items.length, model.from + MAX_SHOWN);
    }
    const items = model.items.slice(model.from, model.to);
    const wanted = new Set(items);
    for (const [item, node] of this.nodes) {
      if (wanted.has(item)) continue;
      node.remove();
      this.nodes.delete(item);
    }
    let cursor = list.firstChild;
    let head;
    for (const item of items) {
      let node = this.nodes.get(item);
      if (!node)
        this.nodes.set(
          item,
          (node = item.note === undefined ? messageNode(item) : make('li', `note ${item.note}`, item.text)),
        );
      if (node === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(node, cursor);
      const same = together(head, item);
      if (item.note === undefined) node.classList.toggle('same', same);
      if (!same) head = item;
    }
  },
};

/** Whether `item` goes without a name of its own, under the one at `head`. */
function together(head, item) {
  if (!head || head.note !== undefined || item.note !== undefined) return false;
  return (
    head.from === item.from && head.info?.name === item.info?.name && item.timestamp - head.timestamp < SAME_SENDER_MS
  );
}

function messageNode(message) {
  const { name, note } = nameOf(message.from, message.info);
  const mine = isMe(message.from);
  const face = avatar(name);
  const by = make('div', `by ${face.classList[1]}`, make('b', '', name));
  if (note || mine) by.append(make('small', '', [mine ? 'you' : '', note].filter(Boolean).join(' · ')));
  const time = make('time', '', timeOf(message.timestamp));
  time.dateTime = new Date(message.timestamp).toISOString();
  const meta = make('div', 'meta', time);
  if (message.offset !== undefined)
    meta.append(make('span', 'offset', make('span', 'wide', 'offset '), String(message.offset)));
  meta.title = [
    fullTime.format(message.timestamp),
    message.offset === undefined ? 'not kept' : `offset ${message.offset}`,
    `came through ${message.gateway ?? 'history'}${message.replayed ? ', replayed' : ''}`,
    message.from ? `from ${message.from}` : '',
  ]
    .filter(Boolean)
    .join('\n');
  const body = make('div', 'body');
  if (message.event) body.append(make('span', 'event-name', message.event));
  body.append(content(message.data));
  return make('li', mine ? 'mine' : '', face, by, meta, body);
}

/** Text as text, bytes as hexadecimal, anything else as JSON. */
function content(data) {
  if (typeof data === 'string') return document.createTextNode(data);
  if (data instanceof Uint8Array) {
    const start = Array.from(data.subarray(0, 256), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return make('pre', '', `${plural(data.length, 'byte')}\n${start}${data.length > 256 ? ' …' : ''}`);
  }
  if (data === null || typeof data !== 'object') return make('pre', '', JSON.stringify(data));
  return make('pre', '', JSON.stringify(data, null, 2));
}

/* ----------------------------------------------------------------------------------------- drawing */

let drawing = false;

/** Draws once per frame, however much happened. */
function draw() {
  if (drawing) return;
  drawing = true;
  // A page in the background gets no frames, but its title still counts.
  if (document.hidden) setTimeout(drawAll, 250);
  else requestAnimationFrame(drawAll);
}

function drawAll() {
  drawing = false;
  drawStatus();
  drawRooms();
  drawRoom();
  drawPeople();
}

function drawStatus() {
  const { state, gateway } = linnet;
  const left = retryAt === null ? 0 : Math.max(0, retryAt - performance.now());
  const texts = {
    idle: 'Connecting…',
    connecting: 'Connecting…',
    waiting: `Reconnecting in ${Math.ceil(left / 1000)} s`,
    failed: 'Not connected',
    closed: 'Not connected',
  };
  $('status').dataset.state = state;
  setText($('status-text'), state === 'connected' ? gateway : texts[state]);
  $('status').title = state === 'connected' ? `Connected to ${gateway}` : '';
  setText($('fact-connection'), linnet.connectionId ?? '–');
  $('fact-connection').title = linnet.connectionId ?? '';
  setText($('fact-gateway'), gateway ?? '–');

  const notice = {
    waiting: offline
      ? 'You are offline, by choice. What you write is kept.'
      : `The connection was lost. Next attempt in ${Math.ceil(left / 1000)} s. What you write is sent then.`,
    failed: `Not connected: ${failure?.message ?? 'the server refused'}.`,
  }[state];
  $('notice').hidden = !notice;
  if (notice) setText($('notice-text'), notice);
  setText($('retry'), offline ? 'Go online' : 'Try now');
  if (state === 'waiting') setTimeout(draw, 250);
}

/** Leaves a node alone that says it already, so that selections and screen readers are not disturbed. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const shown = { rooms: '', people: null };

function drawRooms() {
  const entries = [...rooms.values()];
  const unread = entries.reduce((sum, model) => sum + model.unread, 0);
  document.title = `${unread ? `(${unread}) ` : ''}${current.name} · ${CHANNEL}`;
  $('unread-total').hidden = unread === 0;
  setText($('unread-total'), unread > 99 ? '99+' : String(unread));

  const state = JSON.stringify(entries.map((model) => [model.name, model.unread, model.room.state, model === current]));
  if (state === shown.rooms) return;
  shown.rooms = state;
  const list = $('room-list');
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.room : undefined;
  list.replaceChildren(
    ...entries.map((model) => {
      const button = make('button', model.unread ? 'unread' : '', make('span', 'name', model.name));
      button.type = 'button';
      button.dataset.room = model.name;
      button.dataset.state = model.room.state;
      if (model === current) button.setAttribute('aria-current', 'true');
      if (model.unread)
        button.append(
          make('span', 'badge', model.unread > 99 ? '99+' : String(model.unread), make('span', 'hidden', ' unread')),
        );
      button.addEventListener('click', () => {
        show(model);
        closeDrawers();
        $('text').focus();
      });
      if (model.name === focused) queueMicrotask(() => button.focus());
      return make('li', '', button);
    }),
  );
}

function drawRoom() {
  const model = current;
  const { room } = model;
  setText($('room-name'), model.name);
  const states = {
    off: model.problem || 'Not joined',
    waiting: 'Waiting for the connection',
    resuming: 'Catching up…',
  };
  const facts = [states[room.state]];
  if (room.state === 'live') {
    facts[0] = room.position ? `At offset ${room.position.offset}` : 'Live only, no history';
    if (model.count !== undefined) facts.unshift(plural(model.count, 'connection'));
  }
  setText($('room-facts'), facts.filter(Boolean).join(' · '));

  const scroll = $('scroll');
  // What someone reads stays where it is, whatever happens above it.
  const anchor = model.following
    ? null
    : [...$('feed').children].find((node) => node.offsetTop + node.offsetHeight > scroll.scrollTop);
  const place = anchor?.offsetTop;
  feed.draw(model);
  drawPending(model);

  const hasOlder = model.from > 0 || (model.earlier && room.position !== null);
  $('earlier').hidden = !hasOlder;
  const empty = $('empty');
  empty.hidden = model.items.length > 0 || model.pending.size > 0;
  if (!empty.hidden) {
    setText(
      empty,
      model.problem
        ? `This room can not be joined.\n${model.problem}`
        : room.state === 'live'
          ? 'Nothing here yet.\nOpen this page in a second tab, and say hello.'
          : 'One moment…',
    );
  }
  // Everything fits, so that nothing is below.
  if (model.to === model.items.length && scroll.scrollHeight <= scroll.clientHeight) model.following = true;
  if (model.following) scroll.scrollTop = scroll.scrollHeight;
  else if (anchor?.isConnected) scroll.scrollTop += anchor.offsetTop - place;

  const detached = !model.following;
  $('jump').hidden = !detached;
  if (detached) setText($('jump'), model.below ? `${plural(model.below, 'new message')} ↓` : 'To the newest ↓');
}

function drawPending(model) {
  const nodes = [...model.pending].map((entry) => {
    const said = {
      sending: linnet.state === 'connected' ? 'Sending…' : 'Will be sent when the connection is back',
      failed: `Not sent. ${entry.problem}`,
    }[entry.state];
    const say = make('div', 'say', said);
    if (entry.state === 'failed') {
      for (const [label, action] of [
        ['Send again', entry.again],
        ['Discard', entry.forget],
      ]) {
        const button = make('button', 'quiet', label);
        button.type = 'button';
        button.addEventListener('click', action);
        say.append(button);
      }
    }
    return make('li', entry.state, make('span', ''), make('div', 'body', entry.text), say);
  });
  if (nodes.length > 0 || $('pending').childElementCount > 0) $('pending').replaceChildren(...nodes.slice(-20));
}

function drawPeople() {
  const { people, count, room } = current;
  $('people-count').textContent = count === undefined ? '' : number.format(count);
  document.querySelector('.people').classList.toggle('stale', room.state !== 'live');
  const hint = people
    ? ''
    : count === undefined
      ? room.state === 'live'
        ? 'This room does not tell who is here.'
        : ''
      : 'Too many to list.';
  setText($('people-hint'), hint);
  if (shown.people === people) return;
  shown.people = people;
  const me = linnet.connectionId;
  const entries = (people ?? []).map((member) => ({
    ...nameOf(member.userId ?? member.connectionId, member.info),
    mine: member.connectionId === me,
  }));
  entries.sort((a, b) => b.mine - a.mine || a.name.localeCompare(b.name));
  $('people').replaceChildren(
    ...entries.slice(0, 200).map(({ name, note, mine }) => {
      const label = make('span', '', name);
      if (mine || note) label.append(make('small', '', mine ? 'you' : note));
      return make('li', '', avatar(name), label);
    }),
  );
}

/* ------------------------------------------------------------------------------ what people do here */

const narrow = { rooms: matchMedia('(max-width: 700px)'), side: matchMedia('(max-width: 1020px)') };

function openDrawer(id) {
  if (!narrow[id].matches) return;
  closeDrawers();
  $(id).classList.add('open');
  $(`open-${id}`).setAttribute('aria-expanded', 'true');
  $('backdrop').hidden = false;
  $(id).querySelector('button, input')?.focus();
}

function closeDrawers() {
  let was = false;
  for (const id of ['rooms', 'side']) {
    was ||= $(id).classList.contains('open');
    $(id).classList.remove('open');
    $(`open-${id}`).setAttribute('aria-expanded', 'false');
  }
  $('backdrop').hidden = true;
  return was;
}

function fitText() {
  const text = $('text');
  // Browsers without `field-sizing` need to be told the height.
  if (CSS.supports('field-sizing: content')) return;
  text.style.height = 'auto';
  text.style.height = `${text.scrollHeight + 2}px`;
}

function compose() {
  const text = $('text').value;
  if (!text.trim()) return;
  const json = new FormData($('composer')).get('format') === 'json';
  let data = text;
  $('compose-error').textContent = '';
  if (json) {
    try {
      data = JSON.parse(text);
    } catch (error) {
      $('compose-error').textContent = `Not JSON: ${error.message}`;
      return;
    }
  }
  current.following = true;
  current.below = 0;
  current.publish(text, data, { event: $('event').value.trim() || undefined });
  $('text').value = '';
  fitText();
  draw();
}

function toNewest() {
  current.following = true;
  current.below = 0;
  draw();
}

function step(by) {
  const list = [...rooms.values()];
  show(list[(list.indexOf(current) + by + list.length) % list.length]);
  $('text').focus();
}

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  compose();
  $('text').focus();
});
$('composer').addEventListener('change', () => {
  $('composer').classList.toggle('json', new FormData($('composer')).get('format') === 'json');
  $('compose-error').textContent = '';
});
$('text').addEventListener('input', fitText);
$('text').addEventListener('keydown', (event) => {
  // While an input method composes, Enter chooses a word.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    compose();
  } else if ((event.key === 'PageUp' || event.key === 'PageDown') && !event.shiftKey) {
    event.preventDefault();
    $('scroll').scrollBy({ top: $('scroll').clientHeight * (event.key === 'PageUp' ? -0.8 : 0.8) });
  }
});

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('join-name').value.trim();
  if (!name) return;
  $('join-name').value = '';
  show(join(name));
  closeDrawers();
  $('text').focus();
});
$('leave').addEventListener('click', () => leave(current));

$('me').addEventListener('input', () => {
  $('apply').hidden = $('name').value.trim() === applied.name && $('token').value.trim() === applied.token;
});
$('me').addEventListener('submit', (event) => {
  event.preventDefault();
  if ($('apply').hidden) return;
  $('apply').hidden = true;
  restart();
  closeDrawers();
  $('text').focus();
});

$('earlier').addEventListener('click', async () => {
  const model = current;
  $('earlier').disabled = true;
  try {
    await model.loadEarlier();
  } catch (error) {
    log('bad', `${model.name}: earlier messages could not be had`, error.message);
  }
  $('earlier').disabled = false;
  draw();
});
$('jump').addEventListener('click', () => {
  toNewest();
  $('text').focus();
});
$('scroll').addEventListener(
  'scroll',
  () => {
    const { scrollTop, scrollHeight, clientHeight } = $('scroll');
    const atEnd = scrollHeight - scrollTop - clientHeight < 40;
    if (atEnd && !current.following && current.to < current.items.length) current.loadLater();
    else if (atEnd === current.following) return;
    else {
      current.following = atEnd;
      if (atEnd) current.below = 0;
    }
    draw();
  },
  { passive: true },
);

$('retry').addEventListener('click', () => {
  if (offline) $('offline').click();
  else linnet.connect();
});
$('drop').addEventListener('click', () => {
  log('warn', 'Dropping the connection');
  dropConnections();
});
$('offline').addEventListener('change', ({ target }) => {
  offline = target.checked;
  log('warn', offline ? 'Staying offline' : 'Back online');
  if (offline) dropConnections();
  else linnet.connect();
  draw();
});

for (const id of ['rooms', 'side']) {
  $(`open-${id}`).addEventListener('click', () => ($(id).classList.contains('open') ? closeDrawers() : openDrawer(id)));
  narrow[id].addEventListener('change', closeDrawers);
}
$('backdrop').addEventListener('click', closeDrawers);
$('open-help').addEventListener('click', () => $('help').showModal());

document.addEventListener('keydown', (event) => {
  const command = event.ctrlKey || event.metaKey;
  if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) step(event.key === 'ArrowUp' ? -1 : 1);
  else if (command && event.key.toLowerCase() === 'k') {
    openDrawer('rooms');
    $('join-name').focus();
  } else if (command && event.key === '/') $('help').showModal();
  else if (event.key === 'Escape' && !$('help').open) {
    if (!closeDrawers()) toNewest();
    $('text').focus();
  } else return;
  event.preventDefault();
});

addEventListener('hashchange', () => {
  const name = roomOfHash();
  if (name && name !== current.name) show(join(name));
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) {
    current.unread = 0;
    draw();
  }
});
// Fewer pixels above the keyboard of a phone must not hide the newest message.
new ResizeObserver(() => current?.following && ($('scroll').scrollTop = $('scroll').scrollHeight)).observe($('scroll'));

/* ------------------------------------------------------------------------------------------- begin */

function rememberedRooms() {
  try {
    const names = JSON.parse(memory.get('rooms') ?? '[]');
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}

$('name').value = applied.name;
memory.set('name', applied.name);
start(applied);
const wanted = roomOfHash();
const remembered = rememberedRooms();
for (const name of remembered.length > 0 || wanted ? remembered : [HOME]) join(name);
show(join(wanted ?? remembered[0] ?? HOME));
$('text').focus();
