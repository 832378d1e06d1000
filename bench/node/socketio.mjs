// The reference implementation of a Socket.IO server, told what to send as linnet-bench-reference is: a request and its
// answer are lines of JSON. Nothing is configured but the address.

import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Server } from 'socket.io'

const http = createServer()
const io = new Server(http)
io.on('connection', (socket) => {
  socket.on('join', (room, joined) => {
    socket.join(room)
    joined({})
  })
})
http.listen(0, '127.0.0.1', () => console.log(`listening public=127.0.0.1:${http.address().port}`))

let sequence = 0n

for await (const line of createInterface({ input: process.stdin })) {
  const { schedule, frame_bytes: frameBytes } = JSON.parse(line)
  const interval = (schedule.burst / schedule.per_second) * 1000
  const bursts = Math.max(Math.round((schedule.per_second * schedule.seconds) / schedule.burst), 1)
  const begun = performance.now()
  for (let burst = 1; burst <= bursts; burst += 1) {
    await sleep(Math.max(begun + burst * interval - performance.now(), 0))
    for (let message = 0; message < schedule.burst; message += 1) io.emit('message', data(frameBytes))
  }
  console.log(JSON.stringify({ messages: bursts * schedule.burst, short_writes: 0 }))
}
process.exit()

/** Data with a marker in it, for a WebSocket frame of this length on the wire. */
function data(frameBytes) {
  const packet = '42["message",""]'.length
  const header = frameBytes < 128 ? 2 : 4
  const hex = (number) => number.toString(16).padStart(16, '0')
  sequence += 1n
  return `#${hex(sequence)}@${hex(process.hrtime.bigint())}#`.padEnd(frameBytes - header - packet, 'x')
}
