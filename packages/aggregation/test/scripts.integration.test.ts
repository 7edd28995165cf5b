// What histories do not reach: scripts that fail in the middle, keys of a wrong type, a full Redis, bounded deletion, the
// hint of new visitors.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import type { Redis } from '@millrace/stores/redis'
import { noRefusals } from '../src/fold.ts'
import { stateKeys } from '../src/keys.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import type { RedisApply } from '../src/redis-apply.ts'
import { createRedisClose, maxKeys } from '../src/redis-close.ts'
import type { RedisClose } from '../src/redis-close.ts'
import { createRedisEmit } from '../src/redis-emit.ts'
import type { RedisEmit } from '../src/redis-emit.ts'
import { createRedisEpochs } from '../src/redis-epochs.ts'
import type { RedisEpochs } from '../src/redis-epochs.ts'
import { liveTiming } from '../src/timing.ts'
import { firstLayerVisitors } from '../src/visitors.ts'
import { createWindowReader, windowNames } from '../src/window-reader.ts'
import { openOwnStateRedis } from './own-state-redis.ts'
import { callOf, startMs } from './random-log.ts'
import { readPlain } from './redis-state.ts'
import { rowOf } from './rows.ts'

const stack = new AsyncDisposableStack()
let redis: Redis
let apply: RedisApply
let clock: RedisClose
let emit: RedisEmit
let epochs: RedisEpochs

beforeAll(async () => {
  redis = await openOwnStateRedis(stack)
  apply = createRedisApply(redis)
  clock = createRedisClose(redis, liveTiming)
  emit = createRedisEmit(redis)
  epochs = createRedisEpochs(redis)
})
afterAll(() => stack.disposeAsync())

const hourMs = 3_600_000
const start = { startOffsets: [0n], completeFromMs: startMs }
const dayLater = { epoch: 1, partitions: 1, countedAtMs: startMs + 40 * hourMs, limit: 500 }

let projects = 0
async function newProject(): Promise<string> {
  const project = `scripts-${++projects}`
  expect(await epochs.init(project, 1, start)).toEqual({ kind: 'ok' })
  return project
}

/** Applies `rows` to partition 0 at its position. */
async function take(project: string, rows: readonly EventRow[], epoch = 1): Promise<void> {
  const at = Number((await epochs.look(project)).epochs.get(epoch)?.partitions[0]?.position ?? 0)
  const log = [...Array.from({ length: at }, (): EventRow => first), ...rows]
  const call = callOf([log], 0, { from: at, to: log.length, refusals: noRefusals }, epoch)
  expect(await apply(project, call, 'take')).toEqual({ kind: 'ok' })
}

/** Tells partition 0 that nothing was appended up to `clockMs`. */
async function tell(project: string, clockMs: number, epoch = 1): Promise<void> {
  const position = (await epochs.look(project)).epochs.get(epoch)?.partitions[0]?.position ?? 0n
  const call = callOf([], 0, { from: Number(position), to: Number(position), refusals: noRefusals }, epoch)
  expect(await apply(project, { ...call, clockMs }, 'tell')).toEqual({ kind: 'ok' })
}

const first = rowOf({ eventId: 'e1', timestamp: startMs, sessionId: 's1', userId: 'u1' })

describe('close', () => {
  it('leaves the marker when it fails in the middle, and the epoch takes nothing more', async () => {
    const project = await newProject()
    await take(project, [first])
    await tell(project, dayLater.countedAtMs)
    const key = stateKeys(project, 1).window(`session_duration:1h:${startMs}`)
    await redis.command('HSET', key, 'n', '9223372036854775807')
    await expect(clock.close(project, dayLater, 'call-1')).rejects.toMatchObject({ code: 'PIPE_REDIS_REFUSED' })
    const broken = { kind: 'broken', torn: 'close call-1' }
    expect(await clock.close(project, dayLater, 'call-2')).toEqual(broken)
    expect(await clock.remove(project, dayLater)).toEqual(broken)
    expect(await emit.dirty(project, 1, 9)).toEqual(broken)
    const call = callOf([[first]], 0, { from: 0, to: 1, refusals: noRefusals })
    expect(await apply(project, call, 'c')).toEqual(broken)
    expect((await epochs.look(project)).epochs.get(1)).toMatchObject({ torn: 'close call-1', stage: 'live' })
  })
})

describe('remove', () => {
  const hourOf = (index: number): number => startMs / hourMs + index

  it('deletes no more hours than its limit, and refuses ids of those that are gone alone', async () => {
    const project = await newProject()
    const at = (index: number): EventRow => rowOf({ eventId: `e${index}`, timestamp: startMs + index * hourMs })
    await take(project, [at(0), at(2), at(3), at(6)])
    await tell(project, dayLater.countedAtMs)
    expect(await clock.remove(project, { ...dayLater, limit: 2 })).toEqual({ kind: 'ok', changed: 2 })
    const inspection = (await epochs.inspect(project)).epochs.get(1)
    expect(inspection).toMatchObject({ deletedThrough: hourOf(2), sizes: { seenHours: 2, seenIds: 2 } })
    const again = callOf([[first, first, first, first, at(0), at(3)]], 0, { from: 4, to: 6, refusals: noRefusals })
    const reply = await apply(project, again, 'c')
    expect(reply).toMatchObject({ kind: 'duplicate', deletedThrough: hourOf(2) })
    expect(reply.kind === 'duplicate' && reply.ids.length).toBe(2)
  })

  it('deletes seen hours alone of a build, which has emitted nothing', async () => {
    const project = await newProject()
    const later = { ...start, completeFromMs: startMs + hourMs }
    expect(await epochs.beginRebuild(project, 2, later)).toEqual({ kind: 'ok' })
    await take(project, [first], 2)
    await tell(project, dayLater.countedAtMs, 2)
    const sizes = { windows: 8, openSessions: 1, dirtyWindows: 0 }
    expect((await epochs.inspect(project)).epochs.get(2)).toMatchObject({ sizes: { ...sizes, seenHours: 1 } })
    expect(await clock.close(project, { ...dayLater, epoch: 2 }, 'c')).toEqual({ kind: 'epoch' })
    expect(await clock.remove(project, { ...dayLater, epoch: 2 })).toEqual({ kind: 'ok', changed: 1 })
    expect((await epochs.inspect(project)).epochs.get(2)).toMatchObject({ sizes: { ...sizes, seenHours: 0 } })
  })
})

describe('flip', () => {
  it('refuses a build that is torn, and leaves the pointer where it is', async () => {
    const project = await newProject()
    await epochs.beginRebuild(project, 2, start)
    await redis.command('HSET', stateKeys(project, 2).meta, 'torn', '0-1 call-1')
    expect(await epochs.seal(project)).toEqual({ kind: 'ok', positions: [0n] })
    expect(await epochs.flip(project, 2)).toEqual({ kind: 'broken', torn: '0-1 call-1' })
    expect(await epochs.abort(project, 2)).toEqual({ kind: 'ok' })
    const { pointer, epochs: held } = await epochs.look(project)
    expect([pointer, held.get(1)?.stage, held.get(2)?.stage]).toEqual([1, 'live', 'over'])
  })
})

describe('a key of another type', () => {
  it.each([
    ['close', 'a window', (project: string) => stateKeys(project, 1).window(`events:1h:${startMs}`)],
    ['close', 'a session metric', (project: string) => stateKeys(project, 1).window(`bounce_rate:1h:${startMs}`)],
    ['close', 'a session', (project: string) => stateKeys(project, 1).session('s1')],
    ['close', 'an index', (project: string) => stateKeys(project, 1).dirtySessions],
    ['remove', 'a window', (project: string) => stateKeys(project, 1).window(`events:1h:${startMs}`)],
    ['remove', 'an index', (project: string) => stateKeys(project, 1).hours]
  ] as const)('makes %s refuse and write nothing: %s', async (script, _what, keyOf) => {
    const project = await newProject()
    await take(project, [first])
    await tell(project, dayLater.countedAtMs)
    if (script === 'remove') await closeAndEmit(project)
    await redis.command('DEL', keyOf(project))
    await redis.command('LPUSH', keyOf(project), 'text')
    const before = await dump(project)
    const reply = script === 'close' ? clock.close(project, dayLater, 'c') : clock.remove(project, dayLater)
    expect(await reply).toMatchObject({ kind: 'wrong-type' })
    expect(await dump(project)).toEqual(before)
  })

  async function closeAndEmit(project: string): Promise<void> {
    expect((await clock.close(project, dayLater, 'c')).kind).toBe('ok')
    const dirty = await emit.dirty(project, 1, 100)
    const values = await emit.windows(project, 1, dirty.kind === 'names' ? dirty.names : [])
    if (values.kind === 'values') await emit.confirmWindows(project, 1, values.values)
    const sessions = await emit.sessions(project, 1, ['s1'])
    if (sessions.kind !== 'values') return expect.fail(sessions.kind)
    const emitted = sessions.values.map(({ sessionId: name, revision }) => ({ name, revision }))
    await emit.confirmSessions(project, 1, emitted)
  }
})

/** Every key of the project, byte by byte. */
async function dump(project: string): Promise<unknown> {
  const names = ((await redis.command('KEYS', `*{${project}}*`)) as string[]).sort()
  const replies = await redis.pipeline(names.map((name) => ['DUMP', name]))
  return names.map((name, index) => [name, replies[index]])
}

describe('a Redis at its memory limit', () => {
  it('refuses a batch before it begins, and goes on with what frees memory', async () => {
    const project = await newProject()
    await take(project, [first])
    await tell(project, dayLater.countedAtMs)
    const before = await dump(project)
    await redis.command('CONFIG', 'SET', 'maxmemory', 1)
    try {
      const call = callOf([[first]], 0, { from: 1, to: 1, refusals: noRefusals })
      await expect(apply(project, call, 'c')).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
      await expect(epochs.beginRebuild(project, 2, start)).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
      expect(await dump(project)).toEqual(before)
      expect(await clock.close(project, dayLater, 'c')).toEqual({ kind: 'ok', changed: 9 })
      const dirty = await emit.dirty(project, 1, 100)
      const names = dirty.kind === 'names' ? dirty.names : []
      const values = await emit.windows(project, 1, names)
      expect(values).toMatchObject({ kind: 'values', values: { length: names.length } })
      await emit.confirmWindows(project, 1, values.kind === 'values' ? values.values : [])
      await emit.confirmSessions(project, 1, [{ name: 's1', revision: 3 }])
      expect(await clock.close(project, dayLater, 'c')).toEqual({ kind: 'ok', changed: 2 })
      const finals = await emit.windows(project, 1, [`bounce_rate:1h:${startMs}`, `session_duration:1h:${startMs}`])
      await emit.confirmWindows(project, 1, finals.kind === 'values' ? finals.values : [])
      expect(await clock.remove(project, dayLater)).toEqual({ kind: 'ok', changed: 12 })
      expect((await createWindowReader(redis).read(project, names)).windows.size).toBe(0)
    } finally {
      await redis.command('CONFIG', 'SET', 'maxmemory', 0)
    }
    const left = (await dump(project)) as [string][]
    expect(left.map(([name]) => name.split(':')[0])).toEqual(['epoch', 'epochs', 'known', 'meta', 'pos'])
  })
})

describe('sweep', () => {
  it('deletes an epoch that is over a bounded number of keys at a time, its meta key last', async () => {
    const project = await newProject()
    const rows = Array.from({ length: 1_300 }, (_, index) =>
      rowOf({ eventId: `e${index}`, timestamp: startMs + (index % 7) * hourMs, sessionId: `s${index}`, userId: 'u' })
    )
    await take(project, rows)
    await epochs.seal(project)
    expect(await epochs.replace(project, 2, start)).toEqual({ kind: 'ok' })
    const meta = stateKeys(project, 1).meta
    let calls = 0
    for (let remaining = true; remaining; calls++) {
      expect(await redis.command('EXISTS', meta)).toBe(1)
      const swept = await epochs.sweep(project)
      expect(swept.deletedKeys).toBeLessThanOrEqual(maxKeys + 10)
      remaining = swept.remaining
    }
    expect(calls).toBeGreaterThan(2)
    const keys = Object.keys(await readPlain(redis, project)).sort()
    expect(keys).toEqual([`epoch:{${project}}`, `epochs:{${project}}`, `meta:{${project}}:2`, `pos:{${project}}:2`])
    expect(await redis.command('SMEMBERS', `epochs:{${project}}`)).toEqual(['2'])
  })
})

describe('the window reader', () => {
  it('reads a long range in parts, and nothing of a project without state', async () => {
    const project = await newProject()
    const minutes = Array.from({ length: 300 }, (_, index) => startMs + index * 60_000)
    await take(
      project,
      minutes.map((timestamp, index) => rowOf({ eventId: `e${index}`, timestamp, path: '/a' }))
    )
    const reader = createWindowReader(redis)
    const names = windowNames('page_views', '1m', { fromMs: startMs - 60_000, toMs: startMs + 310 * 60_000 })
    expect(names).toHaveLength(311)
    const { windows, ...rest } = await reader.read(project, names, ['', '["/a"]'])
    expect(rest).toEqual({ epoch: 1, completeFromMs: startMs, clockMs: (minutes.at(-1) ?? 0) + 1_000 })
    expect([...windows.values()].map((window) => window.startMs)).toEqual(minutes)
    const share = { count: 1, sum: 0n, min: undefined, max: undefined, unique: undefined }
    const [window] = windows.values()
    expect(window?.values).toEqual(new Map([['', share]].concat([['["/a"]', share]]) as [string, typeof share][]))
    const none = { epoch: 0, completeFromMs: 0, clockMs: -1, windows: new Map() }
    expect(await reader.read('scripts-nobody', names)).toEqual(none)
  })
})

describe('the filter of known visitors', () => {
  const isNew = async (project: string, ids: readonly string[]): Promise<readonly (boolean | undefined)[]> => {
    await tell(project, startMs + 20 * hourMs)
    await clock.close(project, { ...dayLater, limit: 500 }, 'c')
    const sessions = await emit.sessions(project, 1, ids)
    if (sessions.kind !== 'values') return expect.fail(sessions.kind)
    return ids.map((id) => sessions.values.find(({ sessionId }) => sessionId === id)?.isNew)
  }

  const hintsOf = (project: string, ids: readonly string[]): Promise<readonly unknown[]> => {
    const script = `return select(12, cmsgpack.unpack(redis.call('GET', KEYS[1])))`
    return Promise.all(ids.map((id) => redis.command('EVAL', script, 1, stateKeys(project, 1).session(id))))
  }

  it('tells the first session of a visitor from later ones, by user and by device', async () => {
    const project = await newProject()
    const at = (eventId: string, change: Partial<EventRow>): EventRow =>
      rowOf({ eventId, timestamp: startMs, ...change })
    await take(project, [at('1', { sessionId: 'first', anonymousId: 'a1', userId: 'u1' })])
    await take(project, [
      at('2', { sessionId: 'again', anonymousId: 'a1' }),
      at('3', { sessionId: 'other-device', anonymousId: 'a2', userId: 'u1' }),
      at('4', { sessionId: 'nobody' }),
      at('5', { sessionId: 'identified-later', anonymousId: 'a3' }),
      at('6', { sessionId: 'new-user-later', anonymousId: 'a4' }),
      at('7', { sessionId: 'same-batch-1', anonymousId: 'a5' }),
      at('8', { sessionId: 'same-batch-2', anonymousId: 'a5' }),
      at('12', { sessionId: 'known-device', anonymousId: 'a1' })
    ])
    await take(project, [
      at('9', { sessionId: 'first', anonymousId: 'a1', userId: 'u1' }),
      at('10', { sessionId: 'identified-later', anonymousId: 'a3', userId: 'u1' }),
      at('11', { sessionId: 'new-user-later', anonymousId: 'a4', userId: 'u2' }),
      at('13', { sessionId: 'known-device', anonymousId: 'a1', userId: 'u3' })
    ])
    await take(project, [at('14', { sessionId: 'user-of-a-known-device', anonymousId: 'a6', userId: 'u3' })])
    const told = await isNew(project, [
      'first',
      'again',
      'other-device',
      'nobody',
      'identified-later',
      'new-user-later',
      'same-batch-1',
      'same-batch-2',
      'known-device',
      'user-of-a-known-device'
    ])
    expect(told).toEqual([true, false, false, undefined, false, true, true, false, false, false])
  })

  it('adds a layer when one is full, remembers the layers before, and tells nothing when all are', async () => {
    const project = await newProject()
    const keys = stateKeys(project, 1)
    const visit = (from: number, to: number, session: string): EventRow[] =>
      Array.from({ length: to - from }, (_, index) => {
        const visitor = `visitor-${from + index}`
        return rowOf({
          eventId: `${session}-${visitor}`,
          timestamp: startMs,
          sessionId: `${session}-${visitor}`,
          userId: visitor
        })
      })
    for (let at = 0; at < firstLayerVisitors + 4_000; at += 4_000) await take(project, visit(at, at + 4_000, 'a'))
    expect(await redis.command('HGET', keys.meta, 'layer')).toBe('1')
    expect(await redis.command('STRLEN', keys.known(0))).toBeLessThanOrEqual(firstLayerVisitors * 2)
    await take(project, [...visit(0, 100, 'b'), ...visit(17_000, 17_100, 'b'), ...visit(30_000, 30_100, 'b')])
    expect(await hintsOf(project, ['b-visitor-0', 'b-visitor-17050', 'b-visitor-30050'])).toEqual(['0', '0', '1'])
    await redis.command('HSET', keys.meta, 'layer', 6)
    await take(project, [...visit(0, 1, 'c'), ...visit(40_000, 40_001, 'c')])
    expect(await hintsOf(project, ['c-visitor-0', 'c-visitor-40000'])).toEqual(['0', ''])
  })
})
