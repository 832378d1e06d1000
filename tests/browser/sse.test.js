// The example page with EventSource in Chromium.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { Network, startGateway } from './gateway.js'

const PAGE = fileURLToPath(new URL('../../examples/sse/index.html', import.meta.url))
const options = { timeout: 120_000 }

let gateway, browser

before(async () => {
  gateway = await startGateway('examples/sse/channel.yaml')
  // Chromium takes a page that no server gives for one of the internet, which may not ask this machine without leave.
  const args = ['--no-sandbox', '--disable-features=LocalNetworkAccessChecks']
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args })
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

/** The page, as its own server at `origin` gives it, which follows the gateway at `port`. */
async function open (origin, port) {
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000)
  await page.route(`${origin}/**`, route => route.fulfill({ path: PAGE, contentType: 'text/html' }))
  await page.goto(`${origin}/?gateway=http://127.0.0.1:${port}`)
  return page
}

const state = (page, wanted) => page.waitForFunction(wanted => document.getElementById('state').textContent === wanted, wanted)
const lines = page => page.$$eval('#log li', items => items.map(item => item.textContent))
const hears = (page, line) => page.waitForFunction(
  line => [...document.querySelectorAll('#log li')].some(item => item.textContent === line), line)

async function publish (room, text) {
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/sse?room=${room}`, {
    method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: text
  })
  assert.equal(answer.status, 200)
}

test('an EventSource that was cut comes back by itself and has missed nothing', options, async () => {
  const network = await Network.to(gateway.port)
  const page = await open('http://localhost:8000', network.port)
  await state(page, 'connected')
  await page.fill('#text', 'from the page')
  await page.press('#text', 'Enter')
  await hears(page, 'lobby: from the page')
  network.cut()
  await state(page, 'coming back')
  const missed = Array.from({ length: 12 }, (_, n) => `${n % 2 ? 'news' : 'lobby'}: ${n}`)
  for (const [n, line] of missed.entries()) await publish(line.split(':')[0], String(n))
  network.mend()
  await state(page, 'connected')
  await hears(page, missed.at(-1))
  assert.deepEqual(await lines(page), ['lobby: from the page', ...missed])
  await publish('news', 'and on')
  await hears(page, 'news: and on')
  await page.close()
  network.close()
})

test('a page of another origin hears nothing', options, async () => {
  const page = await open('http://localhost:8001', gateway.port)
  await state(page, 'closed: reload the page')
  await publish('lobby', 'not for everyone')
  assert.deepEqual(await lines(page), [])
  await page.close()
})
