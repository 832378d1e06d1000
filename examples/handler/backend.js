// The shop's back end in Node: backend.js http PORT, or backend.js nats URL SUBJECT. LINNET_SIGNING_KEY is what it knows
// its channel by. docs/handlers.md explains each field.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const KEY = Buffer.from(process.env.LINNET_SIGNING_KEY.replace(/^whsec_/, ''), 'base64');
const PRICES = { 'A-17': 4.2, 'B-2': 120 };
const here = new Map();

const answers = {
  connect({ connection_id, info }) {
    const name = info?.name ?? 'somebody';
    if (name === 'Mallory') return { reject: { code: 'banned', message: 'the shop is closed for you' } };
    here.set(connection_id, name);
    return { data: { hello: name, from: 'node' }, join: ['news'] };
  },
  disconnect({ connection_id }) {
    here.delete(connection_id);
  },
  request({ event, data }) {
    if (event === 'who') return { data: [...here.values()].sort() };
    if (event !== 'price') return { reject: { code: 'unknown_event', message: `there is no ${event}` } };
    const amount = PRICES[data?.sku];
    if (amount === undefined) return { reject: { code: 'unknown_sku', message: 'we do not sell that' } };
    return { data: { amount, currency: 'EUR' } };
  },
};

function isSigned(header, body) {
  const [id, time] = [header('webhook-id'), header('webhook-timestamp')];
  const right = Buffer.from(`v1,${createHmac('sha256', KEY).update(`${id}.${time}.${body}`).digest('base64')}`);
  const isRight = (given) => given.length === right.length && timingSafeEqual(Buffer.from(given), right);
  return Math.abs(Date.now() / 1000 - time) < 300 && header('webhook-signature').split(' ').some(isRight);
}

/** What to answer, as text; `undefined` to one that is not the channel. */
function answer(header, body) {
  if (!isSigned(header, body)) return undefined;
  const { type, data } = JSON.parse(body);
  const kind = type.replace('dev.linnet.', '');
  console.log(kind, data.connection_id, data.event ?? data.reason ?? '');
  return JSON.stringify(answers[kind](data) ?? {});
}

function serve(port) {
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = answer((name) => request.headers[name] ?? '', Buffer.concat(chunks).toString());
    response.writeHead(text === undefined ? 403 : 200, { 'content-type': 'application/json' }).end(text);
  });
  server.listen(port, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
}

async function listen(url, subject) {
  const { connect } = await import('nats');
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 });
  const calls = connection.subscribe(subject, { queue: 'backend' });
  await connection.flush();
  console.log(`listening on ${subject}`);
  for await (const call of calls) {
    const text = answer((name) => call.headers?.get(name) ?? '', call.string());
    if (text !== undefined) call.respond(text);
  }
}

const [way, ...where] = process.argv.slice(2);
await { http: serve, nats: listen }[way](...where);
