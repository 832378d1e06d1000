// The page of examples/socketio-chat in Chromium: two people on two gateways.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { Example } from './example.js'

const options = { timeout: 300_000 }
const complaints = []
let example, browser

before(async () => {
  example = await Example.start('examples/socketio-chat/run')
  // Chromium's sandbox needs rights that containers and root do not have; it shows only our own page here.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
}, options)

after(async () => {
  await browser?.close()
  await example?.stop()
})

/** Somebody who is logged in, on the gateway of this number. */
async function enter (name, gateway) {
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000)
  page.on('pageerror', error => complaints.push(`${name}: ${error}`))
  await page.goto(`${example.address}?gateway=${gateway}`)
  await page.fill('[name=name]', name)
  await page.press('[name=name]', 'Enter')
  await page.waitForFunction(name => document.getElementById('state').textContent === name, name)
  return page
}

const lines = page => page.$$eval('#log li', items => items.map(item => item.textContent))
const people = page => page.$$eval('#people li', items => items.map(item => item.textContent))
const hears = (page, line) => page.waitForFunction(
  line => [...document.querySelectorAll('#log li')].some(item => item.textContent === line), line)

async function say (page, text) {
  await page.fill('[name=text]', text)
  await page.press('[name=text]', 'Enter')
}

test('people on two gateways see who comes and goes, and talk to all or to one', options, async () => {
  const ann = await enter('Ann', 0)
  await say(ann, 'is anybody here?')
  await hears(ann, 'Ann: is anybody here?')
  const bob = await enter('Bob', 1)
  await hears(ann, 'Bob has joined')
  await hears(bob, 'Ann: is anybody here?')
  assert.deepEqual(await people(ann), ['Ann', 'Bob'])
  assert.deepEqual(await people(bob), ['Ann', 'Bob'])

  await say(bob, 'I am')
  await hears(ann, 'Bob: I am')
  await say(ann, '/msg Bob a secret')
  await hears(bob, 'Ann to you: a secret')
  await hears(ann, 'you to Bob: a secret')
  await say(ann, '/msg Eve hello')
  await hears(ann, 'Eve is not here')

  const eve = await enter('Eve', 1)
  await hears(bob, 'Eve has joined')
  assert.ok(!(await lines(eve)).some(line => line.includes('secret')))
  await eve.close()
  await hears(ann, 'Eve has left')
  await hears(bob, 'Eve has left')
  assert.deepEqual(await people(ann), ['Ann', 'Bob'])
  assert.deepEqual(complaints, [])
})

test('what cannot be a name is refused in words', options, async () => {
  const answer = await fetch(`${example.address}login`, { method: 'POST', body: '{"name": "<b>"}' })
  assert.equal(answer.status, 400)
  assert.match(await answer.text(), /letters/)
})
