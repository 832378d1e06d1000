// A gateway process of a test's own, and a network in front of it that can fail.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BINARY = process.env.LINNET_GATEWAY_BIN ?? `${ROOT}target/release/linnet-gateway`

/** Starts a gateway on a manifest (a path from the repository's root); gives its ports and a way to end it. */
export async function startGateway (manifest) {
  const ports = ['--listen', '127.0.0.1:0', '--internal', '127.0.0.1:0']
  const child = spawn(BINARY, [manifest, ...ports, '--drain', '0'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^listening public=\S+:(\d+) internal=\S+:(\d+)/.exec(line)
    if (!found) continue
    const stop = async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    return { port: Number(found[1]), internal: Number(found[2]), stop }
  }
  throw new Error('the gateway did not start')
}

/** A TCP relay to `port` that can be cut: open connections are reset and new ones refused until it is mended. */
export class Network {
  #sockets = new Set()
  #cut = false

  static async to (port) {
    const network = new Network()
    network.server = net.createServer(near => network.#relay(near, port)).listen(0, '127.0.0.1')
    await once(network.server, 'listening')
    network.port = network.server.address().port
    return network
  }

  #relay (near, port) {
    if (this.#cut) return near.resetAndDestroy()
    const far = net.connect(port, '127.0.0.1')
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }

  cut () {
    this.#cut = true
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  mend () { this.#cut = false }

  close () {
    this.cut()
    this.server.close()
  }
}
