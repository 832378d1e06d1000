/** Any JSON value. Numbers beyond 2^53 lose digits in JavaScript: send such ids as strings. */
export type Json = unknown;

export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'failed' | 'closed';
export type RoomState = 'off' | 'waiting' | 'resuming' | 'live';

/** Where a client stands in a room with history. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface Limits {
  message_size?: number;
  messages_per_second?: number;
  message_burst?: number;
  rooms_per_connection?: number;
  [name: string]: unknown;
}

export interface ConnectionInfo {
  connectionId: string;
  /** From the token; absent for anonymous connections. */
  userId?: string;
  gateway: string;
  limits: Limits;
}

export interface Message {
  room: string;
  /** Position in a room with history; grows along the room, not by one. */
  offset?: number;
  /** The publisher's user id, or the connection id (`~…`) of an anonymous one. */
  from?: string;
  event?: string;
  /** The publisher's JSON value; a `Uint8Array` where it sent bytes. */
  data: any;
  /** Milliseconds since 1970. */
  timestamp: number;
  /** What the publisher says of itself; nothing vouches for it. */
  info?: any;
  /** True for stored messages (resumed, or asked for), false for live ones. */
  replayed: boolean;
}

export interface DirectMessage {
  /** Absent: a service has sent it. */
  from?: string;
  event?: string;
  data: any;
  timestamp: number;
  info?: any;
}

export interface Member {
  connectionId: string;
  userId?: string;
  info?: any;
}

export interface Presence {
  /** null where the room only counts. */
  members: Member[] | null;
  count: number;
  joined: Member[];
  left: Member[];
}

/** Messages may be missing here: the room can not prove that none is. */
export interface Gap {
  /** `disconnected`, `moved`, or what the server said: `lagged`, `overload`, `broker_reset`, `epoch_changed`. */
  reason: string;
  /** The last message seen before it; absent in a room without history. */
  since?: Position;
  /** Where the room is now. */
  position?: Position;
}

export interface Disconnected {
  code: number;
  reason: string;
  /** The code in words. */
  meaning: string;
  /** Milliseconds until the next attempt; null: there will be none. */
  retryInMs: number | null;
}

export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
}

export interface LinnetOptions {
  /** A JWT, or a function that gets a fresh one; it is called for each connection and before the token runs out. */
  token?: string | (() => string | Promise<string>);
  /** Short for `info: { name }`. */
  name?: string;
  /** What this client says of itself, shown beside its messages and in presence; at most 1 KB of JSON. */
  info?: Record<string, unknown>;
  /** The `session` of an earlier client: continue as that anonymous publisher. */
  session?: string;
  /** The WebSocket to use where there is no global one, as in Node 20: that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** Requests get an answer within this time or are rejected; default 30,000. */
  timeoutMs?: number;
  /** Requests that may wait for a connection or an answer; over it they are rejected with `queue_full`; default 1000. */
  maxPending?: number;
  /** Closes the client when it aborts. */
  signal?: AbortSignal;
  /** Source of jitter, in [0, 1). For tests. */
  random?: () => number;
  /** Source of time. For tests. */
  clock?: Clock;
}

export interface RequestOptions {
  /** Stops waiting. What was sent already may still take effect. */
  signal?: AbortSignal;
  timeoutMs?: number;
}

export interface SendOptions extends RequestOptions {
  event?: string;
  /** At most 64 bytes; made up where absent. */
  messageId?: string;
  /**
   * Whether to send again after a connection was lost before the answer came. Default: only where the server is known to
   * drop the repeat, which is a `publish` in a room with history. `true`: rather twice than never. `false`: never twice.
   */
  resend?: boolean;
}

export interface PublishOptions extends SendOptions {
  /** `false`: this connection does not get the message itself when it is live. */
  echo?: boolean;
}

export interface Published {
  messageId: string;
  epoch?: string;
  offset?: number;
  /** Milliseconds since 1970, where the server tells it; the message itself always has it. */
  timestamp?: number;
  /** The server had the message already: a repeat changed nothing. */
  duplicate: boolean;
}

export interface SubscribeOptions {
  /**
   * How many earlier messages to get first, as `message` events with `replayed: true`. Also after a gap, so that an
   * application which shows the latest ones keeps showing them.
   */
  history?: number;
  /** Also know who is in the room. */
  presence?: boolean;
  /** Resume from a position kept from before. */
  since?: Position;
  /** Gives up, and leaves, where the room is not live yet. */
  signal?: AbortSignal;
}

export interface Subscribed {
  /** Rooms with history resume without loss and drop repeats. */
  keepsHistory: boolean;
  position: Position | null;
}

export interface HistoryOptions extends RequestOptions {
  /** The newest messages below this offset. */
  before?: number;
  /** The first messages above this offset. */
  after?: number;
  /** Default 100; more than a page is fetched in pages. */
  limit?: number;
}

export interface ClientEvents {
  state: { state: State; previous: State };
  /** A connection is ready; `moved` when it took over from one that still served. */
  connected: ConnectionInfo & { moved: boolean };
  disconnected: Disconnected;
  /** The gateway is leaving; the client connects elsewhere and then leaves it. */
  moving: { gateway: string; withinMs: number };
  direct: DirectMessage;
  /** The channel's handler has put this connection in a room; subscribe to it to hear it, now and after a reconnect. */
  subscribed: { room: string };
  tokenexpiring: { withinMs: number };
  error: LinnetError;
}

export interface RoomEvents {
  message: Message;
  presence: Presence;
  gap: Gap;
  /** Caught up after an interruption with nothing missing; `missed` messages were replayed just before. */
  resumed: { missed: number; cause: string };
  /** The server ended it, or refused to begin it again. */
  unsubscribed: { code: string; message: string };
  state: { state: RoomState; previous: RoomState };
}

/** What this library rejects with. */
export class LinnetError extends Error {
  constructor(code: string, message?: string, details?: object);
  /**
   * The server's error code, or `timeout`, `closed`, `queue_full`, `message_too_large`, `no_websocket`, `bad_url`, `token`; or
   * `outcome_unknown`: sent, not answered, and not safe to send again.
   */
  readonly code: string;
  readonly retryAfterMs?: number;
  /** JSON Pointer to what the server refused. */
  readonly pointer?: string;
  /** The application's own code, where `code` is `rejected`. */
  readonly reason?: string;
  readonly closeCode?: number;
  readonly messageId?: string;
}

export class Linnet {
  /** @param url the channel's WebSocket endpoint; in a page it may be relative to the page */
  constructor(url: string | URL, options?: LinnetOptions);
  readonly state: State;
  readonly connectionId: string | undefined;
  readonly userId: string | undefined;
  /** The gateway that serves this client. */
  readonly gateway: string | undefined;
  readonly limits: Limits | undefined;
  /** The secret that lets a later client continue as the same anonymous publisher. Treat it like a password. */
  readonly session: string | undefined;
  /** Whether `from` of a message names this client, in this connection or an earlier one. */
  isMe(from: string | undefined): boolean;
  /** Optional: the first operation connects too. While the client waits for its next attempt, this makes it now. */
  connect(options?: { signal?: AbortSignal }): Promise<ConnectionInfo>;
  /** The same object for the same name. */
  room(name: string): Room;
  /** Sends to every connection of a user, or to one anonymous connection (`~…`). `connections: 0`: nobody was there. */
  send(to: string, data: Json, options?: SendOptions): Promise<{ connections: number }>;
  /** Asks the channel's handler. Never sent twice. */
  request<Answer = any>(event: string, data?: Json, options?: RequestOptions): Promise<Answer>;
  /** Replaces the token, on the open connection and for later ones. It may not change the user. */
  refresh(token: string | (() => string | Promise<string>)): Promise<void>;
  /** Ends it for good; what was not answered is rejected with `closed`. */
  close(): void;
  on<Type extends keyof ClientEvents>(type: Type, handler: (event: ClientEvents[Type]) => void): () => void;
  once<Type extends keyof ClientEvents>(type: Type, handler: (event: ClientEvents[Type]) => void): () => void;
  off<Type extends keyof ClientEvents>(type: Type, handler: (event: ClientEvents[Type]) => void): void;
}

export interface Room {
  readonly name: string;
  readonly state: RoomState;
  /** Of the last message seen, to be kept for a later `subscribe({since})`; null without history. */
  readonly position: Position | null;
  /** Who is here, while subscribed with `presence`; null where the room only counts. */
  readonly members: Member[] | null;
  readonly memberCount: number | undefined;
  /** Subscribes, and stays subscribed across reconnects. Resolves when messages are live for the first time. */
  subscribe(options?: SubscribeOptions): Promise<Subscribed>;
  unsubscribe(): Promise<void>;
  /** Needs no subscription. Resolves when the server has the message. */
  publish(data: Json | ArrayBuffer | ArrayBufferView, options?: PublishOptions): Promise<Published>;
  /** Stored messages in order: the newest, the newest before an offset, or the first after one. */
  history(options?: HistoryOptions): Promise<{ epoch?: string; messages: Message[]; more: boolean }>;
  /** Who is here now; `members` is absent where the room only counts. */
  presence(options?: RequestOptions): Promise<{ count: number; members?: Member[] }>;
  on<Type extends keyof RoomEvents>(type: Type, handler: (event: RoomEvents[Type]) => void): () => void;
  once<Type extends keyof RoomEvents>(type: Type, handler: (event: RoomEvents[Type]) => void): () => void;
  off<Type extends keyof RoomEvents>(type: Type, handler: (event: RoomEvents[Type]) => void): void;
}

/** What a close code means, and what this library does about it. */
export function describeClose(code: number): { meaning: string; then: 'stop' | 'back-off' | 'soon' | 'careful' };
