// The references of the live feed: loops of `send` over the clients of the ws library. GET /round/<set>/<n>/<each|once>
// sends one round of a message that is at hand, made text for each client or once for all. FEEDS (`<set>=<topic>`, with
// commas between) names topics that are read with kafkajs: what a batch holds is made text once and sent to the set.
// Prints its port when it listens.
import { createServer } from 'node:http'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import kafkajs from 'kafkajs'
import { WebSocket, WebSocketServer } from 'ws'

const { KAFKA_BROKERS = '', FEEDS = '' } = process.env
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
await startFeeds(new Map(FEEDS.split(',').map((feed) => feed.split('=').toReversed() as [string, string])))
server.listen(0, '127.0.0.1', () => {
  // A listening TCP server has an address and a port.
  process.stdout.write(`${(server.address() as { port: number }).port}\n`)
})

/** Reads the topics from their end; `sets` are the clients by topic. */
async function startFeeds(setOf: ReadonlyMap<string, string>): Promise<void> {
  const { Kafka, logLevel } = kafkajs
  const kafka = new Kafka({ clientId: 'bench', brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `fan-out-${process.pid}`, maxWaitTimeInMs: 250 })
  await consumer.connect()
  await consumer.subscribe({ topics: [...setOf.keys()], fromBeginning: false })
  const { promise: joined, resolve } = Promise.withResolvers<void>()
  consumer.on('consumer.group_join', () => resolve())
  await consumer.run({
    autoCommit: false,
    async eachBatch({ batch: { topic, messages } }) {
      const data = messages.flatMap(({ value }) => (value === null ? [] : [toTold(value)]))
      const text = JSON.stringify({ type: 'delta', channel: 'c1', data })
      for (const client of sets.get(setOf.get(topic) ?? '') ?? []) {
        if (client.readyState === WebSocket.OPEN) client.send(text)
      }
    }
  })
  await joined
}

/** What clients are told of a value of the topic. */
function toTold(message: Buffer): object {
  const { timestamp, dimension, value, count, capped, revision, final } = JSON.parse(message.toString()) as Readonly<
    Record<string, unknown>
  >
  return { timestamp, dimension, value, count, capped, revision, final }
}

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
