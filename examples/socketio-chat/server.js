// The chat's own back end: gives the page, and whoever names himself a token for it. What is said never comes here.
//
//   GET /          the page          POST /login {"name": "Ann"}  →  {"token", "gateways"}
//
// LISTEN is where it is, CHAT_KEY what it signs tokens with, GATEWAYS a file with the addresses that it gives to the page.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { SignJWT } from 'jose'

const [host, port] = (process.env.LISTEN ?? '127.0.0.1:8090').split(':')
const key = new TextEncoder().encode(process.env.CHAT_KEY)
const TOKEN_LIVES = '1h'
const MOST_BYTES = 1024

const file = (name, type) => async () => ({
  type,
  body: await readFile(fileURLToPath(new URL(name, import.meta.url)))
})
const files = {
  '/': file('index.html', 'text/html; charset=utf-8'),
  '/chat.js': file('chat.js', 'text/javascript'),
  '/socket.io.js': file('node_modules/socket.io-client/dist/socket.io.esm.min.js', 'text/javascript')
}

/** A chat where everybody is who he says he is; yours asks for a password here. */
async function login (request) {
  let text = ''
  for await (const piece of request) {
    text += piece
    if (text.length > MOST_BYTES) return { status: 413, body: 'too long' }
  }
  const name = parsed(text)?.name
  if (typeof name !== 'string' || !/^\p{L}[\p{L}\p{N}]{0,19}$/u.test(name)) {
    return { status: 400, body: 'a name has 1 to 20 letters and digits, and begins with a letter' }
  }
  const token = await new SignJWT({ sub: name })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(TOKEN_LIVES)
    .sign(key)
  const gateways = (await readFile(process.env.GATEWAYS, 'utf8')).trim().split('\n')
  return { type: 'application/json', body: JSON.stringify({ token, gateways }) }
}

function parsed (text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function answer (request) {
  const [path] = request.url.split('?')
  if (request.method === 'POST' && path === '/login') return login(request)
  const read = request.method === 'GET' && files[path]
  return read ? read() : { status: 404, body: 'there is nothing here' }
}

const server = createServer(async (request, response) => {
  const { status = 200, type = 'text/plain; charset=utf-8', body } = await answer(request)
    .catch(error => ({ status: 500, body: String(error) }))
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body)
})
server.listen(Number(port), host, () => console.log(`listening on ${host}:${server.address().port}`))
