// The least that answers from Redis over HTTP can cost: Fastify reads the body and sends what a GET found, without looking at
// key, question or answer. Prints its port when it listens; ends with SIGTERM.
import fastify from 'fastify'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'

const { REDIS_CACHE_URL: url = '', KEYS = '' } = process.env
const keys = KEYS.split(' ')
const options = {
  url,
  role: 'cache',
  log: createSilentLogger(),
  requirePolicy: 'now',
  commandTimeoutMs: 5_000
} as const
const redis = await openRedis(options)
let asked = 0

const app = fastify({ logger: false })
app.post('/v1/query', async (_request, reply) => {
  const found = (await redis.bytes('GET', keys[asked++ % keys.length] ?? '')) as Buffer | null
  return found === null ? reply.code(404).send() : reply.type('application/json').send(found)
})
process.on('SIGTERM', () => process.exit(0))
const address = await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${new URL(address).port}\n`)
