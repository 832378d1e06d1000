// The published socket.io-client against a gateway, beside a client of linnet.v1.json.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import test from 'node:test'
import { Socket as Engine } from 'engine.io-client'
import { io } from 'socket.io-client'
import WebSocket from 'ws'

const HOST = process.env.LINNET_PUBLIC
const options = { timeout: 60_000 }

// The next time that a socket is told something. `once` of node:events wants `error` to be an exception.
const next = (socket, event) => new Promise(resolve => socket.once(event, (...args) => resolve(args)))

// A socket of a connection of its own, unless `manager` says otherwise; closed when the test ends.
function open (t, namespace = '/', settings = {}) {
  const socket = io(`http://${HOST}${namespace}`, {
    transports: ['websocket'], forceNew: true, reconnectionDelay: 50, ...settings
  })
  t.after(() => socket.close())
  return socket
}

async function connect (t, namespace, settings) {
  const socket = open(t, namespace, settings)
  const [[greeting]] = await Promise.all([next(socket, 'connected'), next(socket, 'connect')])
  return { socket, greeting }
}

const ask = (socket, event, ...args) => socket.timeout(30_000).emitWithAck(event, ...args)

class Json {
  #ids = 0
  #frames = []
  #waiting = []

  static async connect (t) {
    const client = new Json()
    client.socket = new WebSocket(`ws://${HOST}/ws`, 'linnet.v1.json')
    t.after(() => client.socket.terminate())
    client.socket.on('message', data => {
      const frame = JSON.parse(data)
      const at = client.#waiting.findIndex(waiting => waiting.wants(frame))
      if (at < 0) client.#frames.push(frame)
      else client.#waiting.splice(at, 1)[0].give(frame)
    })
    await once(client.socket, 'open')
    return client
  }

  first (wants) {
    const at = this.#frames.findIndex(wants)
    if (at >= 0) return this.#frames.splice(at, 1)[0]
    return new Promise(give => this.#waiting.push({ wants, give }))
  }

  async ask (request) {
    const id = ++this.#ids
    this.socket.send(JSON.stringify({ ...request, id }))
    const answer = await this.first(frame => frame.id === id)
    assert.equal(answer.type, 'ack', JSON.stringify(answer))
    return answer
  }

  message () { return this.first(frame => frame.type === 'message') }
}

test('a socket connects, is greeted, and is nobody\'s recovered session', options, async t => {
  const { socket, greeting } = await connect(t)
  assert.equal(socket.id, greeting.connection_id)
  assert.ok(!socket.recovered)
  assert.equal(socket.io.engine.transport.name, 'websocket')
})

test('a token that is not accepted is a connect_error with a code', options, async t => {
  const socket = open(t, '/', { auth: { token: 'x.y.z' } })
  const [error] = await next(socket, 'connect_error')
  assert.equal(error.data.code, 'invalid_token')
  assert.ok(error.message.length > 0)
  assert.equal(socket.connected, false)
  socket.auth = {}
  socket.connect()
  await next(socket, 'connect')
})

test('two sockets and a JSON client talk in one room', options, async t => {
  const room = `r-${randomUUID()}`
  const [{ socket: ann }, { socket: bob }, eve] = await Promise.all([connect(t), connect(t), Json.connect(t)])
  for (const socket of [ann, bob]) {
    const joined = await ask(socket, 'join', room)
    assert.equal(joined.error, undefined, JSON.stringify(joined))
  }
  await eve.ask({ type: 'subscribe', room })
  const heard = [next(ann, 'greet'), next(bob, 'greet'), eve.message()]
  const said = await ask(ann, 'message', { room, event: 'greet', data: { text: 'hi', n: [1, null] } })
  const [[atAnn], [atBob, about], atEve] = await Promise.all(heard)
  for (const data of [atAnn, atBob, atEve.data]) assert.deepEqual(data, { text: 'hi', n: [1, null] })
  assert.equal(atEve.event, 'greet')
  assert.deepEqual([about.room, about.offset, about.from], [room, said.offset, ann.id])

  const back = [next(ann, 'message'), next(bob, 'message')]
  await eve.ask({ type: 'publish', room, data: 'hello' })
  for (const [data] of await Promise.all(back)) assert.equal(data, 'hello')

  const others = next(bob, 'message')
  ann.on('message', () => assert.fail('it asked not to hear itself'))
  await ask(ann, 'message', { room, data: 1, echo: false })
  assert.equal((await others)[0], 1)
  ann.off('message')
  await ask(ann, 'leave', room)
  const page = await ask(ann, 'history', room)
  assert.deepEqual(page.messages.map(message => message.data), [{ text: 'hi', n: [1, null] }, 'hello', 1])
})

test('acknowledgements come in time, and say what is refused', options, async t => {
  const { socket } = await connect(t)
  const { error } = await ask(socket, 'order', { n: 1 })
  assert.equal(error.code, 'no_handler')
  assert.equal((await ask(socket, 'join', '')).error.code, 'bad_room')
  const told = next(socket, 'error')
  socket.emit('join', '')
  assert.equal((await told)[0].code, 'bad_room')
})

test('bytes stay bytes', options, async t => {
  const room = `r-${randomUUID()}`
  const [{ socket: ann }, { socket: bob }, eve] = await Promise.all([connect(t), connect(t), Json.connect(t)])
  await ask(bob, 'join', room)
  await eve.ask({ type: 'subscribe', room })
  const bytes = Buffer.from([0, 1, 2, 255])
  const heard = [next(bob, 'file'), eve.message()]
  await ask(ann, 'message', { room, event: 'file', data: bytes })
  const [[atBob], atEve] = await Promise.all(heard)
  assert.ok(bytes.equals(atBob))
  assert.deepEqual([atEve.data, atEve.encoding], [bytes.toString('base64'), 'base64'])
  const back = next(bob, 'message')
  await eve.ask({ type: 'publish', room, data: 'AQI=', encoding: 'base64' })
  assert.ok(Buffer.from([1, 2]).equals((await back)[0]))
  const { error } = await ask(ann, 'message', { room, data: { part: bytes } })
  assert.equal(error.code, 'bad_request')
})

test('namespaces share a connection and are prefixes of rooms', options, async t => {
  const { socket: main } = await connect(t)
  const chat = main.io.socket('/chat')
  t.after(() => chat.close())
  await next(chat, 'connect')
  const [room, eve] = [`r-${randomUUID()}`, await Json.connect(t)]
  await ask(chat, 'join', room)
  const heard = next(chat, 'message')
  main.onAny((...args) => assert.fail(`not here: ${args}`))
  await eve.ask({ type: 'publish', room: `chat/${room}`, data: 1 })
  const [data, about] = await heard
  assert.deepEqual([data, about.room], [1, room])
  chat.disconnect()
  await ask(main, 'leave', 'nowhere')
  assert.equal(main.connected, true)
})

test('a large text is compressed on its way and arrives as it was', options, async t => {
  const { socket } = await connect(t, '/', { perMessageDeflate: { threshold: 0 } })
  const [room, text] = [`r-${randomUUID()}`, 'ab'.repeat(20_000)]
  await ask(socket, 'join', room)
  const heard = next(socket, 'message')
  await ask(socket, 'message', { room, data: text })
  assert.equal((await heard)[0], text)
})

test('a connection that breaks is made anew, and history tells what was missed', options, async t => {
  const room = `r-${randomUUID()}`
  const [{ socket }, eve] = await Promise.all([connect(t), Json.connect(t)])
  const { epoch, offset } = await ask(socket, 'join', room)
  const lost = next(socket, 'disconnect')
  socket.io.engine.transport.ws.terminate()
  assert.equal((await lost)[0], 'transport close')
  await eve.ask({ type: 'publish', room, data: 'missed' })
  await next(socket, 'connect')
  assert.ok(!socket.recovered)
  const caught = await ask(socket, 'join', room, { since: { epoch, offset } })
  assert.equal(caught.recovered, true)
  assert.deepEqual(caught.messages.map(message => message.data), ['missed'])
})

test('who breaks the protocol is disconnected by the server and told why', options, async t => {
  const { socket } = await connect(t)
  const told = Promise.all([next(socket, 'error'), next(socket, 'disconnect')])
  socket.io.engine.write('2[]')
  const [[error], [reason]] = await told
  assert.deepEqual([error.code, reason], ['bad_request', 'io server disconnect'])
  assert.equal(socket.active, false, 'it does not come back by itself')
})

const ways = {
  'polling only': { transports: ['polling'] },
  'WebSocket only': { transports: ['websocket'] },
  'polling and then WebSocket': {}
}

// A socket whose engine has come where it is going.
async function arrive (t, settings) {
  const { socket, greeting } = await connect(t, '/', { transports: undefined, ...settings })
  const { engine } = socket.io
  if (!settings.transports && engine.transport.name === 'polling') await next(engine, 'upgrade')
  assert.equal(engine.transport.name, settings.transports?.[0] ?? 'websocket')
  return { socket, greeting }
}

for (const [way, settings] of Object.entries(ways)) {
  test(`${way}: events, acknowledgements and bytes go both ways`, options, async t => {
    const room = `r-${randomUUID()}`
    const [{ socket: ann, greeting }, { socket: bob }, eve] =
      await Promise.all([arrive(t, settings), arrive(t, settings), Json.connect(t)])
    assert.equal(ann.id, greeting.connection_id, 'it is the same session still')
    for (const socket of [ann, bob]) await ask(socket, 'join', room)
    await eve.ask({ type: 'subscribe', room })
    const bytes = Buffer.from([0, 1, 2, 255])
    for (const data of [{ text: 'hä\u001e' }, bytes]) {
      const heard = [next(ann, 'x'), next(bob, 'x'), eve.message()]
      const said = await ask(ann, 'message', { room, event: 'x', data })
      const [[atAnn], [atBob], atEve] = await Promise.all(heard)
      for (const got of [atAnn, atBob]) assert.deepEqual(got, data)
      assert.equal(atEve.offset, said.offset)
    }
    assert.equal((await ask(bob, 'order', 1)).error.code, 'no_handler')
    const chat = ann.io.socket('/chat')
    t.after(() => chat.close())
    await next(chat, 'connect')
    await ask(chat, 'join', room)
    const heard = next(chat, 'message')
    await eve.ask({ type: 'publish', room: `chat/${room}`, data: 1 })
    assert.equal((await heard)[0], 1)
  })

  test(`${way}: many messages come in order, none twice`, options, async t => {
    const [room, count, got] = [`r-${randomUUID()}`, 1000, []]
    const { socket: bob } = await connect(t, '/', { transports: undefined, ...settings })
    await ask(bob, 'join', room)
    const all = new Promise(resolve => bob.on('message', data => {
      if (got.push(data) === count) resolve()
    }))
    // The sender begins as soon as it is connected, and changes its transport meanwhile.
    const { socket: ann } = await connect(t, '/', { transports: undefined, ...settings })
    for (let n = 0; n < count; n++) {
      ann.emit('message', { room, data: n, echo: false })
      if (n % 50 === 0) await ask(ann, 'leave', 'nowhere')
    }
    await all
    assert.deepEqual(got, Array.from({ length: count }, (_, n) => n))
  })

  test(`${way}: a client that goes, and one that the gateway ends, leave no session`, options, async t => {
    const { socket } = await arrive(t, settings)
    const gone = next(socket, 'disconnect')
    socket.io.engine.write('2[]')
    const [reason] = await gone
    assert.equal(reason, 'io server disconnect')
    socket.connect()
    await next(socket, 'connect')
    const left = next(socket.io.engine, 'close')
    socket.disconnect()
    await left
    socket.connect()
    await next(socket, 'connect')
    assert.deepEqual(await ask(socket, 'leave', 'nowhere'), {})
  })
}

for (const [way, settings] of Object.entries(ways)) {
  test(`${way}: the plain protocol in Engine.IO`, options, async t => {
    const [room, eve] = [`r-${randomUUID()}`, await Json.connect(t)]
    await eve.ask({ type: 'subscribe', room })
    const engine = new Engine(`ws://${HOST}`, { path: '/engine.io/', query: { room }, ...settings })
    t.after(() => engine.close())
    await next(engine, 'open')
    if (!settings.transports) await next(engine, 'upgrade')
    const got = next(engine, 'message')
    engine.send('hi')
    assert.equal((await got)[0], 'hi')
    assert.equal((await eve.message()).data, 'hi')
    const bytes = next(engine, 'message')
    await eve.ask({ type: 'publish', room, data: 'AQI=', encoding: 'base64' })
    assert.ok(Buffer.from([1, 2]).equals(Buffer.from((await bytes)[0])))
  })
}

test('a client that polls and is refused is told why', options, async t => {
  const socket = open(t, '/', { transports: ['polling'], auth: { token: 'x.y.z' } })
  const [error] = await next(socket, 'connect_error')
  assert.equal(error.data.code, 'invalid_token')
})
