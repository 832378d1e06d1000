// The chat in the page: socket.io-client as it comes from npm, and no server code but the login.
import { io } from './socket.io.js'

const $ = id => document.getElementById(id)
const ROOM = 'lobby'

/** Who is here: connection → name. One name may have several. */
const people = new Map()
/** The last position that was seen of the room, to go on from after a reconnect. */
let position
let me

function line (kind, text) {
  const item = document.createElement('li')
  item.className = kind
  item.textContent = text
  $('log').append(item)
  $('log').scrollTop = $('log').scrollHeight
}

function showPeople () {
  const names = [...new Set(people.values())].sort((a, b) => a.localeCompare(b))
  $('people').replaceChildren(...names.map(name => Object.assign(document.createElement('li'), { textContent: name })))
}

const isHere = name => [...people.values()].includes(name)
const nameOf = member => member.user_id ?? member.connection_id

function show ({ from, data, offset }) {
  line('message', `${from}: ${data.text}`)
  position.offset = offset
}

/** Joins the room, and shows what was said since `position`, or before that the last ten messages. */
async function join (socket) {
  if (!position) {
    const { epoch, messages = [] } = await socket.emitWithAck('history', ROOM, { limit: 10 })
    if (messages.length > 0) position = { epoch }
    messages.forEach(show)
  }
  let page
  do {
    page = await socket.emitWithAck('join', ROOM, { presence: true, ...(position && { since: position }) })
    if (page.error) return line('notice', page.error.message)
    page.messages?.forEach(show)
    if (page.recovered === false) line('notice', 'some messages were missed')
    position = { epoch: page.epoch, offset: page.offset }
  } while (page.more)
  people.clear()
  let after
  do {
    const list = await socket.emitWithAck('presence', ROOM, { ...(after && { after }) })
    for (const member of list.members ?? []) people.set(member.connection_id, nameOf(member))
    after = list.more ? list.members.at(-1).connection_id : undefined
  } while (after)
  showPeople()
  $('state').textContent = me
}

function connect (token, gateway) {
  const socket = io(gateway, { auth: { token } })
  socket.on('connect', () => join(socket))
  socket.on('message', (data, about) => show({ data, ...about }))
  socket.on('presence', ({ join = [], leave = [] }) => {
    for (const member of join) {
      if (!isHere(nameOf(member))) line('notice', `${nameOf(member)} has joined`)
      people.set(member.connection_id, nameOf(member))
    }
    for (const member of leave) {
      people.delete(member.connection_id)
      if (!isHere(nameOf(member))) line('notice', `${nameOf(member)} has left`)
    }
    showPeople()
  })
  socket.on('gap', () => join(socket))
  socket.on('direct', (data, { from }) => line('private', `${from} to you: ${data.text}`))
  socket.on('error', ({ message }) => line('notice', message))
  socket.on('connect_error', error => line('notice', error.message))
  socket.on('disconnect', reason => {
    $('state').textContent = `${me}, coming back`
    if (reason === 'io server disconnect') line('notice', 'the server has closed the connection: reload the page')
  })
  return socket
}

async function say (socket, text) {
  const [, to, rest] = /^\/msg (\S+) (.+)/.exec(text) ?? []
  const { error, connections } = to
    ? await socket.emitWithAck('send', { to, data: { text: rest } })
    : await socket.emitWithAck('message', { room: ROOM, data: { text } })
  if (error) line('notice', error.message)
  else if (to && connections === 0) line('notice', `${to} is not here`)
  else if (to) line('private', `you to ${to}: ${rest}`)
}

$('login').addEventListener('submit', async event => {
  event.preventDefault()
  const name = event.target.elements.name.value.trim()
  const answer = await fetch('login', { method: 'POST', body: JSON.stringify({ name }) })
  if (!answer.ok) return void ($('state').textContent = await answer.text())
  const { token, gateways } = await answer.json()
  me = name
  event.target.hidden = true
  document.querySelector('main').hidden = false
  // In Kubernetes there is one address, and the Service spreads people over the gateways.
  const wanted = new URLSearchParams(location.search).get('gateway') ?? Math.floor(Math.random() * gateways.length)
  const socket = connect(token, gateways[wanted])
  $('say').addEventListener('submit', event => {
    event.preventDefault()
    say(socket, event.target.elements.text.value)
    event.target.reset()
  })
})
