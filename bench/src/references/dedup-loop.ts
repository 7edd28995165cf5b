// Reserves and marks ids in calls of 500, by the lease of the gateway or by what is often written instead: pipelined
// SET NX PX, and SET EX after the ack.
import { createSilentLogger } from '@millrace/observability'
import { createDedupLease } from '@millrace/stores/dedup-lease'
import { openRedis } from '@millrace/stores/redis'
import { serveLoop } from '../loop-child.ts'

export interface DedupTask {
  readonly how: 'lease' | 'set-nx'
}

const callSize = 500
const log = createSilentLogger()
const { REDIS_DEDUP_URL: url = '' } = process.env
const redis = await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 })
const lease = createDedupLease({ redis, shards: 1, leaseMs: 30_000, windowMs: 86_400_000 })
let made = 0

process.on('SIGTERM', () => process.exit(0))
serveLoop<DedupTask>(async ({ how }) => {
  const ids = Array.from({ length: callSize }, () => `dedup-${process.pid}-${(made++).toString(36).padStart(12, '0')}`)
  await (how === 'lease' ? byLease(ids) : bySetNx(ids))
  return callSize
})

async function byLease(ids: readonly string[]): Promise<void> {
  const slots = ids.map((id) => lease.slot('bench', 1, id))
  const reservations = await lease.reserveAll(slots.map((slot) => ({ slot })))
  if (reservations.some(({ kind }) => kind !== 'new')) throw new Error('an id was not new')
  const failed = await lease.commitAll(slots)
  if (failed.length > 0) throw new Error(`${failed.length} marks were not written`)
}

async function bySetNx(ids: readonly string[]): Promise<void> {
  const taken = await redis.pipeline(ids.map((id) => ['SET', `nx:bench:${id}`, 'token', 'PX', 30_000, 'NX']))
  if (taken.some((reply) => !reply.ok || reply.value === null)) throw new Error('an id was not new')
  const marked = await redis.pipeline(ids.map((id) => ['SET', `nx:bench:${id}`, '1', 'EX', 86_400]))
  if (marked.some((reply) => !reply.ok)) throw new Error('a mark was not written')
}
