// The console page in Chromium, as a person uses it.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { Network, startGateway } from './gateway.js'

const ARTIFACTS = fileURLToPath(new URL('../artifacts/', import.meta.url))
const options = { timeout: 120_000 }

let gateway, browser
/** What a page must not do: complain, break its own policy, or talk to anyone but its gateway. */
const complaints = []

before(async () => {
  await mkdir(ARTIFACTS, { recursive: true })
  gateway = await startGateway('examples/chat.yaml')
  // Chromium's sandbox needs rights that containers and root do not have; it shows only our own page here.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

/** Someone with a browser of their own, by way of `port`. */
async function person (name, room, { port = gateway.port, ...context } = {}) {
  const own = await browser.newContext(context)
  own.setDefaultTimeout(20_000)
  const page = await own.newPage()
  const origin = `http://127.0.0.1:${port}`
  page.on('pageerror', error => complaints.push(`${name}: ${error}`))
  page.on('console', message => {
    // A refused connection is what a cut network looks like.
    if (message.type() === 'error' && !/WebSocket connection|ERR_/.test(message.text())) complaints.push(`${name}: ${message.text()}`)
  })
  page.on('request', request => {
    const url = request.url()
    if (!url.startsWith(origin) && !url.startsWith('data:')) complaints.push(`${name} asked for ${url}`)
  })
  // Where the page remembers its person's name; on a phone the field for it is in a drawer.
  await own.addInitScript(name => localStorage.setItem('linnet/name', name), name)
  await page.goto(`${origin}/#room=${encodeURIComponent(room)}`)
  await state(page, 'connected')
  await sees(page, name)
  return page
}

const state = (page, wanted) => page.waitForSelector(`#status[data-state="${wanted}"]`)

/** Awaits that a person is, or (`there` is false) is no longer, in the list of people. */
const sees = (page, name, there = true) => page.waitForFunction(([name, there]) =>
  there === [...document.querySelectorAll('#people li')].some(person => person.textContent.includes(name)), [name, there])

async function say (page, text) {
  await page.fill('#text', text)
  await page.press('#text', 'Enter')
}

/** The messages on the page, oldest first. */
const heard = page => page.$$eval('#feed li:not(.note) .body', bodies => bodies.map(body => body.textContent.trim()))
const notes = page => page.$$eval('#feed li.note', notes => notes.map(note => note.textContent))

const hears = (page, text) => page.waitForFunction(
  text => [...document.querySelectorAll('#feed .body')].some(body => body.textContent.includes(text)), text)

const shot = (page, name) => page.screenshot({ path: `${ARTIFACTS}${name}.png` })

test('two tabs chat and see each other', options, async () => {
  const ann = await person('Ann', 'two-tabs')
  const bob = await person('Bob', 'two-tabs')
  await sees(ann, 'Bob')
  await say(ann, 'Hello Bob, can you read this?')
  await hears(bob, 'Hello Bob, can you read this?')
  await say(bob, 'Every word. ✓')
  await hears(ann, 'Every word. ✓')
  await hears(bob, 'Every word. ✓') // a page shows its own messages as the room has them
  assert.deepEqual(await heard(ann), await heard(bob))
  assert.equal((await heard(bob)).length, 2)
  await shot(ann, 'console-chat')
  await bob.context().close()
  await sees(ann, 'Bob', false)
  await ann.context().close()
})

test('a tab that loses its connection says so and catches up without loss or doubles', options, async context => {
  const network = await Network.to(gateway.port)
  context.after(() => network.close()) // also where the test fails: a listener would keep the process running
  const ann = await person('Ann', 'lossy', { port: network.port })
  const bob = await person('Bob', 'lossy')
  await say(bob, 'before')
  await hears(ann, 'before')

  network.cut()
  await ann.waitForSelector('#status:not([data-state="connected"])')
  await shot(ann, 'console-disconnected')
  for (const text of ['missed one', 'missed two', 'missed three']) {
    await say(bob, text)
    await hears(bob, text)
  }
  await say(ann, 'written while away')
  network.mend()
  await state(ann, 'connected')
  await hears(ann, 'missed three')
  await hears(bob, 'written while away')
  await say(bob, 'after')
  for (const page of [ann, bob]) {
    await hears(page, 'after')
    await hears(page, 'written while away')
  }

  const all = await heard(ann)
  assert.deepEqual(all.slice(0, 4), ['before', 'missed one', 'missed two', 'missed three'])
  assert.deepEqual(all.slice(4).sort(), ['after', 'written while away'])
  assert.deepEqual(all, await heard(bob), 'both see the same, each message once')
  assert.match((await notes(ann)).join(), /[Cc]aught up.*3 missed/)
  const log = await ann.textContent('#log')
  assert.match(log, /Connection lost/)
  await shot(ann, 'console-caught-up')
  await ann.context().close()
  await bob.context().close()
})

test('the page works with the keyboard alone', options, async () => {
  const page = await person('Kim', 'keys')
  await page.keyboard.press('Control+k')
  await page.keyboard.type('another-room')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#room-name').textContent === 'another-room')
  await page.focus('#text')
  await page.keyboard.type('typed')
  await page.keyboard.press('Enter')
  await hears(page, 'typed')
  await page.keyboard.press('Alt+ArrowUp')
  await page.waitForFunction(() => document.querySelector('#room-name').textContent !== 'another-room')
  // Every control that Tab reaches has a name to be read out.
  const nameless = await page.$$eval('button, input, textarea, [tabindex="0"]', all => all
    .filter(one => one.offsetParent && one.tabIndex >= 0)
    .filter(one => !(one.textContent.trim() || one.ariaLabel || one.labels?.length || one.getAttribute('aria-labelledby')))
    .map(one => one.outerHTML.slice(0, 100)))
  assert.deepEqual(nameless, [])
  await page.context().close()
})

test('what others send is shown as text and never run', options, async () => {
  const ann = await person('<b>Ann</b>', 'markup')
  await say(ann, '<img src=x onerror="document.title=`taken`"><script>document.title=`taken`</script>')
  await hears(ann, '<img src=x')
  assert.equal(await ann.$('#feed img, #feed script, #people b'), null)
  assert.notEqual(await ann.title(), 'taken')
  await ann.context().close()
})

test('it is readable on a phone, in the dark', options, async () => {
  const page = await person('Zoë', 'phone', { viewport: { width: 360, height: 700 }, colorScheme: 'dark' })
  await say(page, 'A long message from a small screen: '.repeat(8))
  await hears(page, 'small screen')
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(overflow <= 0, `${overflow} pixels too wide`)
  await shot(page, 'console-phone-dark')
  await page.context().close()
})

test('no page complained, broke its policy or asked anyone else for anything', options, () => {
  assert.deepEqual(complaints, [])
})
