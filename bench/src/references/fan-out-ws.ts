// The reference of the live feed: a loop of `send` over the clients of the ws library, with the message made text for
// each client or once for all. Prints its port when it listens; GET /round/<set>/<n>/<each|once> sends one round.
import { createServer } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

const valuesPerMessage = 20
const sets = new Map<string, Set<WebSocket>>()
const server = createServer((request, response) => {
  const [, , set = '', count = '0', how = 'each'] = (request.url ?? '').split('/')
  const message = messageOf(Number(count))
  const text = JSON.stringify(message)
  for (const client of sets.get(set) ?? []) {
    if (client.readyState === WebSocket.OPEN) client.send(how === 'once' ? text : JSON.stringify(message))
  }
  response.end()
})
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (client, request) => {
  const set = (request.url ?? '').slice(1)
  const clients = sets.get(set) ?? new Set()
  sets.set(set, clients.add(client))
  client.on('close', () => clients.delete(client))
})
process.on('SIGTERM', () => process.exit(0))
server.listen(0, '127.0.0.1', () => {
  // A listening TCP server has an address and a port.
  process.stdout.write(`${(server.address() as { port: number }).port}\n`)
})

/** What the live feed tells of as many values. */
function messageOf(value: number): object {
  const told = { value, count: value, capped: false, revision: [1, 2 * value], final: false }
  const data = Array.from({ length: valuesPerMessage }, (_, index) => ({
    timestamp: 1_780_315_200_000,
    dimension: `["type_${index}"]`,
    ...told
  }))
  return { type: 'delta', channel: 'c1', data }
}
