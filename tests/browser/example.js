// A run of an example's script, which starts everything that its page needs.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export class Example {
  constructor (child, address) {
    this.child = child
    this.address = address
  }

  /** Starts a script, a path from the repository's root, and waits for the page that it names. */
  static async start (script) {
    const child = spawn(script, {
      cwd: ROOT,
      env: { ...process.env, LISTEN: '127.0.0.1:0', LINNET_LISTEN: '127.0.0.1:0' },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    for await (const line of createInterface({ input: child.stdout })) {
      const [, address] = /open (http:\S+)/.exec(line) ?? []
      if (address) return new Example(child, address)
    }
    assert.fail(`${script} did not start`)
  }

  async stop () {
    if (this.child.exitCode !== null) return
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }
}
