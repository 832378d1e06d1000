// Node's `ws` as a client: connect, subscribe, publish, resume.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import test from 'node:test'
import WebSocket from 'ws'

const URL = `ws://${process.env.LINNET_PUBLIC}/ws`
const options = { timeout: 30_000 }

class Client {
  #frames = []
  #waiting = []
  #ids = 0

  static async connect () {
    const client = new Client()
    client.socket = new WebSocket(URL, 'linnet.v1.json')
    client.socket.on('message', (data, isBinary) => {
      assert.equal(isBinary, false)
      client.#take(JSON.parse(data))
    })
    client.connected = await client.next()
    return client
  }

  #take (frame) {
    const at = this.#waiting.findIndex(waiting => waiting.wants(frame))
    if (at < 0) this.#frames.push(frame)
    else this.#waiting.splice(at, 1)[0].give(frame)
  }

  #first (wants) {
    const at = this.#frames.findIndex(wants)
    if (at >= 0) return this.#frames.splice(at, 1)[0]
    return new Promise(give => this.#waiting.push({ wants, give }))
  }

  next () { return this.#first(frame => frame.id === undefined) }

  ask (request) {
    const id = ++this.#ids
    this.socket.send(JSON.stringify({ ...request, id }))
    return this.#first(frame => frame.id === id)
  }
}

test('ws connects and is greeted', options, async () => {
  const client = await Client.connect()
  assert.equal(client.socket.protocol, 'linnet.v1.json')
  assert.equal(client.connected.type, 'connected')
  client.socket.close()
  const [code] = await once(client.socket, 'close')
  assert.equal(code, 1005, 'a close without a code is answered by one without a code')
})

test('ws negotiates compression and talks through it', options, async () => {
  const client = await Client.connect()
  assert.match(client.socket.extensions, /permessage-deflate/)
  const room = `node-${randomUUID()}`
  const text = 'ab'.repeat(5000)
  await client.ask({ type: 'subscribe', room })
  for (let n = 0; n < 5; n++) {
    await client.ask({ type: 'publish', room, data: text })
    assert.equal((await client.next()).data, text)
  }
  client.socket.terminate()
})

test('ws subscribes, publishes and resumes', options, async () => {
  const room = `node-${randomUUID()}`
  const [reader, writer] = [await Client.connect(), await Client.connect()]
  const start = await reader.ask({ type: 'subscribe', room })
  assert.equal(start.type, 'ack')
  const published = await writer.ask({ type: 'publish', room, data: { n: 0 } })
  const message = await reader.next()
  assert.deepEqual([message.data, message.offset], [{ n: 0 }, published.offset])

  // The connection breaks without a close frame; 150 messages are missed; the next one gets them in two pages.
  reader.socket.terminate()
  for (let n = 1; n <= 150; n++) await writer.ask({ type: 'publish', room, data: { n } })
  const again = await Client.connect()
  const since = { epoch: start.epoch, offset: message.offset }
  const got = []
  for (let more = true; more;) {
    const page = await again.ask({ type: 'subscribe', room, since })
    assert.equal(page.recovered, true)
    got.push(...page.messages.map(message => message.data.n))
    since.offset = page.messages.at(-1).offset
    more = page.more
  }
  assert.deepEqual(got, Array.from({ length: 150 }, (_, n) => n + 1))
  await writer.ask({ type: 'publish', room, data: { n: 151 } })
  assert.deepEqual((await again.next()).data, { n: 151 })
  again.socket.terminate()
  writer.socket.terminate()
})

test('ws speaks the plain protocol', options, async () => {
  const socket = new WebSocket(`${URL}?room=node-${randomUUID()}`, 'linnet.v1.plain')
  await once(socket, 'open')
  for (const [sent, binary] of [['text', false], [Buffer.from([0, 255]), true]]) {
    socket.send(sent)
    const [data, isBinary] = await once(socket, 'message')
    assert.deepEqual([data, isBinary], [Buffer.from(sent), binary])
  }
  socket.terminate()
})

test('ws is told the reason of a close', options, async () => {
  const client = await Client.connect()
  client.socket.send(Buffer.from('binary'))
  const [code] = await once(client.socket, 'close')
  assert.equal(code, 1003)
})
