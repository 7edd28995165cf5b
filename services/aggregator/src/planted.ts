// Bugs on purpose, switched on only under test: each must be caught by the fault harness, or the harness proves nothing.
import type { RedisApply } from '@millrace/aggregation/redis-apply'
import type { ApplyCall } from '@millrace/aggregation/apply'
import type { RedisEmit } from '@millrace/aggregation/redis-emit'
import { stateKeys } from '@millrace/aggregation/keys'
import { mergeFacts } from '@millrace/aggregation/sessions'
import type { SessionFacts, SessionMerge } from '@millrace/aggregation/sessions'
import type { Enrich } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { Redis } from '@millrace/stores/redis'
import type { Tasks } from './run-tasks.ts'

/** Names of the bugs in MILLRACE_PLANTED_BUG. */
const bugs = {
  /** Sessions are read, changed and written back, as one would without a script. */
  getSetSessions: 'aggregator-get-set-sessions',
  /** Sets of counted ids expire by the wall clock. */
  seenExpires: 'aggregator-seen-expires',
  /** Events are late by the clock of who reads them, not by their append time. */
  lateByTheClock: 'aggregator-late-by-the-clock',
  /** Every value of a dimension is kept apart. */
  withoutCap: 'aggregator-without-cap',
  /** The position in Redis follows the consumer, not the other way round. */
  trustsCommit: 'aggregator-trusts-commit',
  /** What was produced counts as told whatever it became meanwhile. */
  confirmsBlindly: 'aggregator-confirms-blindly'
} as const

const seenLifeMs = 1_000

/** `apply`, with the bugs that are planted. */
export function withPlantedApply(apply: RedisApply, redis: Redis, planted: ReadonlySet<string>): RedisApply {
  let bugged = apply
  if (planted.has(bugs.seenExpires)) bugged = withExpiringIds(bugged, redis)
  if (planted.has(bugs.trustsCommit)) bugged = withTrustedPosition(bugged)
  if (planted.has(bugs.withoutCap)) bugged = withoutCaps(bugged)
  if (planted.has(bugs.getSetSessions)) bugged = withOverwrittenSessions(bugged, redis)
  return bugged
}

/** `enrich`, with the bug that is planted. */
export function withPlantedEnrich(enrich: Enrich, clock: Clock, planted: ReadonlySet<string>): Enrich {
  if (!planted.has(bugs.lateByTheClock)) return enrich
  return (record) => {
    const enriched = enrich(record)
    if (!enriched.ok) return enriched
    const { row } = enriched
    return { ...enriched, row: { ...row, latenessMs: clock.now() - row.timestamp } }
  }
}

/** `emit`, with the bug that is planted. */
export function withPlantedEmit(emit: RedisEmit, redis: Redis, planted: ReadonlySet<string>): RedisEmit {
  if (!planted.has(bugs.confirmsBlindly)) return emit
  const forget = async (key: string, names: readonly string[]): Promise<{ readonly kind: 'ok' }> => {
    if (names.length > 0) await redis.command('ZREM', key, ...names)
    return { kind: 'ok' }
  }
  return {
    ...emit,
    confirmWindows: (project, epoch, emitted) => forget(stateKeys(project, epoch).dirty, emitted.map(nameOf)),
    confirmSessions: (project, epoch, emitted) => forget(stateKeys(project, epoch).dirtySessions, emitted.map(nameOf))
  }
}

/** `tasks`, without what would notice the planted bug and heal it. */
export function withPlantedTasks(tasks: Tasks, planted: ReadonlySet<string>): Tasks {
  return planted.has(bugs.trustsCommit) ? { ...tasks, watch: async () => {} } : tasks
}

const nameOf = ({ name }: { readonly name: string }): string => name

function withExpiringIds(apply: RedisApply, redis: Redis): RedisApply {
  return async (project, call, callId) => {
    const reply = await apply(project, call, callId)
    const keys = stateKeys(project, call.epoch)
    const expiries = call.hours.map(({ hour }) => ['PEXPIRE', keys.seen(hour), seenLifeMs, 'NX'] as const)
    if (reply.kind === 'ok') await redis.pipeline(expiries)
    return reply
  }
}

function withoutCaps(apply: RedisApply): RedisApply {
  return (project, call, callId) => {
    const windows = call.windows.map((window) => ({ ...window, cap: Number.MAX_SAFE_INTEGER }))
    return apply(project, { ...call, windows }, callId)
  }
}

function withTrustedPosition(apply: RedisApply): RedisApply {
  return async (project, call, callId) => {
    const reply = await apply(project, call, callId)
    if (reply.kind !== 'gap' || call.from === call.to) return reply
    return await apply(project, { ...call, from: reply.position }, callId)
  }
}

function withOverwrittenSessions(apply: RedisApply, redis: Redis): RedisApply {
  return async (project, call, callId) => {
    const reply = await apply(project, { ...call, sessions: [] }, callId)
    if (reply.kind === 'ok' && call.sessions.length > 0) await overwrite(redis, project, call)
    return reply
  }
}

async function overwrite(redis: Redis, project: string, { epoch, sessions }: ApplyCall): Promise<void> {
  const keys = stateKeys(project, epoch)
  const copyOf = ({ sessionId }: SessionMerge): string => `naive:${keys.session(sessionId)}`
  const held = await redis.pipeline(sessions.map((merge) => ['GET', copyOf(merge)]))
  const changed = sessions.map((merge, index) => {
    const reply = held[index]
    const { sessionId: _id, visitors: _visitors, ...facts } = merge
    if (reply?.ok !== true || typeof reply.value !== 'string') return facts
    // oxlint-disable-next-line no-restricted-properties -- written four lines below
    return mergeFacts(JSON.parse(reply.value) as SessionFacts, facts)
  })
  await redis.pipeline(
    sessions.map((merge, index) => ['SETEX', copyOf(merge), 3_600, JSON.stringify(changed[index])] as const)
  )
  await redis.pipeline(
    sessions.map(({ sessionId }, index) => {
      const record = JSON.stringify(toRecord(changed[index]))
      return ['EVAL', writeLua, 3, keys.session(sessionId), keys.due, keys.kept, record, sessionId] as const
    })
  )
}

function toRecord(facts: SessionFacts | undefined): readonly unknown[] {
  if (facts === undefined) return []
  const { firstMs, lastMs, events, pageViews, converted, first, entry, exit, user } = facts
  return [firstMs, lastMs, events, pageViews, Number(converted), 0, '', first, entry, exit, user, '']
}

/** The record as the scripts keep it, so that it is closed and told like any other. */
const writeLua = `
local record = cjson.decode(ARGV[1])
redis.call('SET', KEYS[1], cmsgpack.pack(unpack(record)))
redis.call('ZADD', KEYS[2], record[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])`
