// The page of examples/products in Chromium: two people change products, and both see all of it.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { Example } from './example.js'

const ARTIFACTS = fileURLToPath(new URL('../artifacts/', import.meta.url))
const options = { timeout: 300_000 }

let example, browser
const complaints = []

before(async () => {
  await mkdir(ARTIFACTS, { recursive: true })
  example = await Example.start('examples/products/run')
  // Chromium's sandbox needs rights that containers and root do not have; it shows only our own page here.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
}, options)

after(async () => {
  await browser?.close()
  await example?.stop()
})

async function open (name) {
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000)
  page.on('pageerror', error => complaints.push(`${name}: ${error}`))
  page.on('console', message => { if (message.type() === 'error') complaints.push(`${name}: ${message.text()}`) })
  await page.goto(example.address)
  await page.waitForSelector('#state[data-state="live"]')
  await page.waitForSelector('#log li[data-type="WELCOME"]')
  return page
}

const rows = page => page.$$eval('#products tr', rows => rows.map(row => [...row.cells].slice(0, 2).map(cell => cell.textContent)))
const log = page => page.$$eval('#log li', lines => lines.map(line => line.dataset.type).reverse())
const shows = (page, name, there = true) => page.waitForFunction(([name, there]) =>
  there === [...document.querySelectorAll('#products tr')].some(row => row.cells[0].textContent === name), [name, there])

async function add (page, name, price) {
  await page.fill('[name=name]', name)
  await page.fill('[name=price]', price)
  await page.press('[name=price]', 'Enter')
}

test('two pages show the same products and the same events, and one that comes later is welcomed with all', options, async () => {
  const ann = await open('Ann')
  const bob = await open('Bob')
  // What examples/products/run has changed.
  assert.deepEqual(await rows(ann), [['Soup of the day', '4.90'], ['Bread', '2.20']])
  await add(ann, 'Cake <b>', '3.5')
  for (const page of [ann, bob]) await shows(page, 'Cake <b>')
  await bob.click('[aria-label="Delete Bread"]')
  for (const page of [ann, bob]) await shows(page, 'Bread', false)
  const expected = [['Soup of the day', '4.90'], ['Cake <b>', '3.50']]
  for (const page of [ann, bob]) {
    assert.deepEqual(await rows(page), expected)
    assert.deepEqual(await log(page), ['WELCOME', 'PRODUCT_CREATED', 'PRODUCT_DELETED'])
  }
  const cyd = await open('Cyd')
  assert.deepEqual(await rows(cyd), expected)
  assert.deepEqual(await log(cyd), ['WELCOME'])
  await ann.screenshot({ path: `${ARTIFACTS}products.png` })
  assert.deepEqual(complaints, [])
})
