// The list of products, kept up to date by what the room says, and a log of it.
import { Linnet } from './linnet.js'

const products = new Map() // by id
const gone = new Map() // the last version of those that were deleted
const list = document.querySelector('#products')
const log = document.querySelector('#log')
const state = document.querySelector('#state')

/** Takes a product as a message tells it, unless something newer is known. */
function take (product) {
  if (product.version <= (products.get(product.id)?.version ?? gone.get(product.id) ?? 0)) return
  products.set(product.id, product)
}

/** One message: `{type, data, timestamp}`. */
function hear ({ type, data, timestamp }) {
  switch (type) {
    case 'WELCOME':
      data.products.forEach(take)
      break
    case 'PRODUCT_CREATED':
    case 'PRODUCT_UPDATED':
      take(data)
      break
    case 'PRODUCT_DELETED':
      products.delete(data.id)
      gone.set(data.id, data.version)
  }
  const line = document.createElement('li')
  const what = type === 'WELCOME' ? `${data.products.length} products` : `${data.name ?? ''} #${data.id}`
  line.textContent = `${timestamp.slice(11, 19)} ${type} ${what}`
  line.dataset.type = type
  log.prepend(line)
  draw()
}

function draw () {
  const sorted = [...products.values()].sort((a, b) => a.id - b.id)
  list.replaceChildren(...sorted.map(product => {
    const row = document.createElement('tr')
    row.dataset.id = product.id
    const cell = (text, kind = '') => {
      const cell = row.insertCell()
      cell.textContent = text
      cell.className = kind
      return cell
    }
    cell(product.name)
    cell((product.price_cents / 100).toFixed(2), 'price')
    const remove = document.createElement('button')
    remove.textContent = 'Delete'
    remove.setAttribute('aria-label', `Delete ${product.name}`)
    remove.onclick = () => fetch(`products/${product.id}`, { method: 'DELETE' })
    cell('').append(remove)
    return row
  }))
}

document.querySelector('#new').onsubmit = async event => {
  event.preventDefault()
  const form = event.target
  const cents = Math.round(Number(form.price.value) * 100)
  const body = JSON.stringify({ name: form.name.value, price_cents: cents })
  const answer = await fetch('products', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  if (answer.ok) form.reset()
}

/** Asks for all products. What was known before and is not among them was deleted meanwhile. */
async function welcome () {
  const known = [...products.keys()]
  const message = await (await fetch('welcome')).json()
  const there = new Set(message.data.products.map(product => product.id))
  for (const id of known) if (!there.has(id)) products.delete(id)
  hear(message)
}

const room = new Linnet(await (await fetch('channel')).text()).room('products')
room.on('message', message => hear(message.data))
room.on('state', ({ state: now }) => { state.dataset.state = state.textContent = now })
// Some messages are missing: the list is asked for anew.
room.on('gap', welcome)
// First live, then the list: what changes in between comes in both, and versions tell which is newer.
await room.subscribe()
await welcome()
