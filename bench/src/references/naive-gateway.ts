// The naive twin of the gateway, as a first version is often written: for each event one GET of the key, one INCR of the
// limit, one SET NX of the id, and one send to Kafka. Same promises but for the order of effects: a mark is set before the
// event is stored. Prints its port when it listens; ends with SIGTERM.
import fastify from 'fastify'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import { Redis } from 'ioredis'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import kafkajs from 'kafkajs'

interface Event {
  readonly eventId: string
  readonly eventType: string
}

const { KAFKA_BROKERS = '', REDIS_DEDUP_URL = '', NAIVE_TOPIC = '' } = process.env
const redis = new Redis(REDIS_DEDUP_URL)
await redis.set('naive:key', 'bench')
const client = new kafkajs.Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: kafkajs.logLevel.ERROR })
const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
await producer.connect()

/** The status of one event. */
async function accept(event: Event): Promise<'accepted' | 'duplicate' | 'rejected'> {
  if (typeof event.eventId !== 'string' || typeof event.eventType !== 'string') return 'rejected'
  const project = await redis.get('naive:key')
  await redis.incr(`naive:limit:${project}`)
  const isNew = await redis.set(`naive:id:${event.eventId}`, '1', 'EX', 86_400, 'NX')
  if (isNew === null) return 'duplicate'
  const value = JSON.stringify({ ...event, projectId: project, receivedAt: new Date().toISOString() })
  await producer.send({ topic: NAIVE_TOPIC, acks: -1, messages: [{ key: event.eventId, value }] })
  return 'accepted'
}

const app = fastify({ logger: false, bodyLimit: 8 * 1024 * 1024 })
app.post<{ Body: Event }>('/v1/events', async (request, reply) => {
  const status = await accept(request.body)
  return reply.code(status === 'accepted' ? 202 : 409).send({ status, eventId: request.body.eventId })
})
app.post<{ Body: { events: readonly Event[] } }>('/v1/events/batch', async (request, reply) => {
  const items = await Promise.all(
    request.body.events.map(async (event) => ({ eventId: event.eventId, status: await accept(event) }))
  )
  return reply.code(202).send({ items })
})
process.on('SIGTERM', () => {
  void app.close().then(() => Promise.all([producer.disconnect(), redis.quit()]))
})
const address = await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${new URL(address).port}\n`)
