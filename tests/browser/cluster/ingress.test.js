// The console page through a cluster's ingress: tests/cluster/tests/people.rs brings up the channel and runs this with
// its address in LINNET_CONSOLE.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const ORIGIN = process.env.LINNET_CONSOLE
const PATIENCE = 60_000

let browser
const complaints = []

before(async () => {
  await mkdir(ARTIFACTS, { recursive: true })
  // Chromium's sandbox needs rights that containers and root do not have; it shows only our own page here.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
})

after(() => browser?.close())

/** Someone with a browser of their own, in the room `lobby`. */
async function person (name) {
  // The test cluster's certificate is signed by itself; Rust's clients are told to trust just it.
  const own = await browser.newContext({ ignoreHTTPSErrors: true })
  own.setDefaultTimeout(PATIENCE)
  const page = await own.newPage()
  page.on('pageerror', error => complaints.push(`${name}: ${error}`))
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(`${name}: ${message.text()}`)
  })
  await own.addInitScript(name => localStorage.setItem('linnet/name', name), name)
  await page.goto(`${ORIGIN}/#room=lobby`)
  await page.waitForSelector('#status[data-state="connected"]')
  return page
}

const hears = (page, text) => page.waitForFunction(
  text => [...document.querySelectorAll('#feed .body')].some(body => body.textContent.includes(text)), text)

async function say (page, text) {
  await page.fill('#text', text)
  await page.press('#text', 'Enter')
}

test('two people chat on the page behind the ingress', { timeout: 3 * PATIENCE }, async () => {
  const ann = await person('Ann')
  const bob = await person('Bob')
  await say(ann, 'Hello Bob, through the ingress.')
  await hears(bob, 'Hello Bob, through the ingress.')
  await say(bob, 'Every word. ✓')
  await hears(ann, 'Every word. ✓')
  await ann.screenshot({ path: `${ARTIFACTS}console-ingress.png` })
  assert.deepEqual(complaints, [])
})
