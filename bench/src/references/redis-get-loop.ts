// Reads answers from Redis, so many at a time, and does nothing with them.
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import { serveLoop } from '../loop-child.ts'

const { REDIS_CACHE_URL: url = '', KEYS = '', IN_FLIGHT = '1' } = process.env
const keys = KEYS.split(' ')
const inFlight = Number(IN_FLIGHT)
const options = {
  url,
  role: 'cache',
  log: createSilentLogger(),
  requirePolicy: 'now',
  commandTimeoutMs: 5_000
} as const
const redis = await openRedis(options)
let asked = 0

process.on('SIGTERM', () => process.exit(0))
serveLoop<object>(async () => {
  const gets = Array.from({ length: inFlight }, () => redis.bytes('GET', keys[asked++ % keys.length] ?? ''))
  const found = await Promise.all(gets)
  if (found.includes(null)) throw new Error('an answer is gone')
  return inFlight
})
