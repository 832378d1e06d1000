// A client of the users' service in Node, without generated code: the messages are what users.proto says when it starts.
//
//   node client.js HOST:PORT watch [COUNT]            each change, as it happens; ends after COUNT of them
//   node client.js HOST:PORT create NAME EMAIL        says the new user's id
//   node client.js HOST:PORT get ID                   likewise update ID NAME EMAIL, delete ID, list
import { fileURLToPath } from 'node:url'
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const MOST_MS = 5000
const proto = fileURLToPath(new URL('users.proto', import.meta.url))
const { users } = grpc.loadPackageDefinition(loadSync(proto, { enums: String, longs: Number }))
const [address, command, ...rest] = process.argv.slice(2)
const client = new users.v1.UserService(address, grpc.credentials.createInsecure())

/** A call with one answer. */
function call (method, request) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + MOST_MS
    client[method](request, { deadline }, (error, answer) => error ? reject(error) : resolve(answer))
  })
}

const said = ({ name, email, version }) => `${name} <${email}> version ${version}`

const commands = {
  async watch (count = Infinity) {
    const changes = client.watchUsers({})
    // From here on nothing is missed.
    changes.once('metadata', () => console.log('watching'))
    let seen = 0
    for await (const { type, user } of changes) {
      console.log(type, said(user))
      if (++seen >= count) break
    }
    changes.cancel()
  },
  async create (name, email) {
    console.log((await call('createUser', { name, email })).id)
  },
  async get (id) {
    console.log(said(await call('getUser', { id })))
  },
  async update (id, name, email) {
    console.log(said(await call('updateUser', { id, name, email })))
  },
  async delete (id) {
    await call('deleteUser', { id })
  },
  async list () {
    for await (const user of client.listUsers({})) console.log(user.id, said(user))
  }
}

try {
  await commands[command](...rest)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
client.close()
