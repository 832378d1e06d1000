import { WebSocket } from 'ws';
import { Linnet } from '../../src/linnet.js';
import { ManualClock } from './clock.js';
import { ScriptedServer } from './server.js';

/** A server, and a client of it whose clock stands still; both end with the test. */
export async function setup(t, options = {}) {
  const server = await ScriptedServer.start();
  const clock = new ManualClock();
  const linnet = new Linnet(server.url, { WebSocket, clock, random: () => 0.5, ...options });
  t.after(async () => {
    linnet.close();
    await server.stop();
  });
  return { server, clock, linnet };
}

/** The next event of that type. */
export const next = (source, type) => new Promise((resolve) => source.once(type, resolve));

/** All events of a room as short strings, in order; `until(text)` resolves when that one is there. */
export function record(room) {
  const seen = [];
  const waiting = [];
  const add = (text) => {
    seen.push(text);
    for (const look of [...waiting]) look();
  };
  room.on('message', ({ data, replayed }) => add(replayed ? `(${data})` : `${data}`));
  room.on('gap', ({ reason }) => add(`gap ${reason}`));
  room.on('resumed', ({ missed }) => add(`resumed ${missed}`));
  room.on('unsubscribed', ({ code }) => add(`unsubscribed ${code}`));
  seen.until = (text) =>
    new Promise((resolve) => {
      const look = () => seen.includes(text) && resolve();
      waiting.push(look);
      look();
    });
  return seen;
}
