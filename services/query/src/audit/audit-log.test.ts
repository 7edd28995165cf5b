import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { startAuditLog } from './audit-log.ts'
import type { AuditLogOptions, AuditPolicy, AuditedQuestion } from './audit-log.ts'
import type { AuditRow } from './audit-rows.ts'

function setup(policy: Partial<AuditPolicy> = {}, limits: Partial<AuditLogOptions> = {}) {
  const clock = createManualClock(Date.parse('2026-06-15T00:00:00Z'))
  const written: AuditRow[] = []
  const pruned: Date[] = []
  const state = { isAway: false, dropped: 0, reasons: new Set<string>(), tooOld: 1, pruningHangs: false }
  const audit = startAuditLog({
    rows: {
      insert: async (rows) => {
        if (state.isAway) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'down')
        if (rows.some(({ sql }) => sql === 'bad')) throw new AppError('PIPE_POSTGRES_REFUSED', 'bad')
        written.push(...rows)
      },
      deleteBefore: async (at) => {
        pruned.push(at)
        if (state.pruningHangs) await new Promise<never>(() => undefined)
        return state.tooOld-- > 0 ? 5_000 : 0
      }
    },
    policy: { questions: 'engine', text: 'hash', keepMs: 86_400_000, ...policy },
    clock,
    log: createSilentLogger(),
    metrics: {
      audited: { add: () => {} },
      auditDropped: {
        add: (count: number, { reason }: { readonly reason: string }) => {
          state.dropped += count
          state.reasons.add(reason)
        }
      }
    } as never,
    maxQueued: 3,
    ...limits
  })
  return { clock, written, pruned, state, audit }
}

const question = (text: string, cache = 'MISS'): AuditedQuestion => ({
  projectId: 'shop',
  keyId: 'k1',
  endpoint: '/v1/query',
  text,
  status: 200,
  cache,
  queryId: 'q1',
  readBytes: 10,
  tookMs: 3
})

describe('the audit of queries', () => {
  it('writes behind what was asked of the engine, without texts', async () => {
    const { clock, written, audit } = setup()
    audit.add(question('SELECT 1'))
    audit.add(question('SELECT 2', 'HIT'))
    expect(written).toEqual([])
    await clock.advance(1_000)
    expect(written).toMatchObject([
      { projectId: 'shop', keyId: 'k1', sql: undefined, at: new Date('2026-06-15T00:00:00Z') }
    ])
    expect(written[0]?.sqlHash).toBe('e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5')
  })

  it('has all of it, with texts, or nothing, where that is the policy', async () => {
    const all = setup({ questions: 'all', text: 'text' })
    all.audit.add(question('SELECT 2', 'HIT'))
    await all.clock.advance(1_000)
    expect(all.written).toMatchObject([{ sql: 'SELECT 2', cache: 'HIT' }])
    const off = setup({ questions: 'off' })
    off.audit.add(question('SELECT 2'))
    await off.clock.advance(5_000)
    expect([off.written, off.clock.pending()]).toEqual([[], 0])
  })

  it('drops and counts what finds no place while PostgreSQL is away, and writes the rest later', async () => {
    const { clock, written, state, audit } = setup()
    state.isAway = true
    for (const text of ['a', 'b', 'c', 'd', 'e']) audit.add(question(text))
    await clock.advance(3_000)
    expect([written.length, state.dropped]).toEqual([0, 2])
    state.isAway = false
    await clock.advance(1_000)
    expect([written.length, state.dropped]).toEqual([3, 2])
  })

  it('drops and counts what PostgreSQL refuses, and goes on', async () => {
    const { clock, written, state, audit } = setup({ text: 'text' })
    for (const text of ['a', 'bad']) audit.add(question(text))
    await clock.advance(1_000)
    audit.add(question('b'))
    await clock.advance(1_000)
    expect([written.map(({ sql }) => sql), state.dropped]).toEqual([['b'], 2])
  })

  it('takes so many rows of a project in a second, fewer of refused questions, and those of others', async () => {
    const { clock, written, state, audit } = setup({}, { maxQueued: 100, maxRowsPerSecond: 10 })
    for (let at = 0; at < 20; at++) audit.add({ ...question('bad'), status: 422 })
    for (let at = 0; at < 20; at++) audit.add(question('good'))
    audit.add({ ...question('other'), projectId: 'other' })
    await clock.advance(1_000)
    const statuses = written.filter(({ projectId }) => projectId === 'shop').map(({ status }) => status)
    expect(statuses).toEqual([422, 422, 200, 200, 200, 200, 200, 200, 200, 200])
    expect([written.length, state.dropped, state.reasons]).toEqual([11, 30, new Set(['rate'])])
    audit.add({ ...question('bad'), status: 422 })
    await clock.advance(1_000)
    expect([written.length, state.dropped]).toEqual([12, 30])
  })

  it('holds so many bytes of texts, each cut, and has room again when they are written', async () => {
    const { clock, written, state, audit } = setup({ text: 'text' }, { maxQueuedBytes: 70_000 })
    for (let at = 0; at < 3; at++) audit.add(question(`${at}${'x'.repeat(100_000)}`))
    expect([state.dropped, state.reasons]).toEqual([1, new Set(['full'])])
    await clock.advance(1_000)
    expect(written.map(({ sql }) => [sql?.[0], sql?.length])).toEqual([
      ['0', 16_384],
      ['1', 16_384]
    ])
    audit.add(question('z'.repeat(100_000)))
    await clock.advance(1_000)
    expect([written.length, state.dropped]).toEqual([3, 1])
  })

  it('keeps no more of a long text in memory than its row has', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const { clock, written, audit } = setup({ text: 'text' }, { maxQueued: 100 })
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let at = 0; at < 40; at++) audit.add(question(Buffer.alloc(1_000_000, 65).toString('latin1')))
    collectGarbage()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000)
    await clock.advance(1_000)
    expect(written).toHaveLength(40)
  })

  it('deletes what is too old each hour until none is left, and writes what is queued when it ends', async () => {
    const { clock, pruned, written, audit } = setup()
    await clock.advance(1_000)
    await clock.advance(3_600_000)
    expect(pruned.map((at) => at.toISOString())).toEqual([
      '2026-06-14T00:00:01.000Z',
      '2026-06-14T00:00:01.000Z',
      '2026-06-14T01:00:01.000Z'
    ])
    audit.add(question('last'))
    await audit[Symbol.asyncDispose]()
    expect(written).toHaveLength(1)
  })

  it('deletes much in turns, with a pause between them', async () => {
    const { clock, pruned, state } = setup()
    state.tooOld = 14
    await clock.advance(1_000)
    expect(pruned).toHaveLength(10)
    await clock.advance(9_999)
    expect(pruned).toHaveLength(10)
    await clock.advance(1)
    expect(pruned).toHaveLength(15)
  })

  it('goes on writing while old rows are deleted', async () => {
    const { clock, pruned, written, state, audit } = setup()
    state.pruningHangs = true
    await clock.advance(1_000)
    audit.add(question('a'))
    await clock.advance(1_000)
    audit.add(question('b'))
    void audit[Symbol.asyncDispose]()
    await clock.advance(0)
    expect([pruned.length, written.length]).toEqual([1, 2])
  })

  it('begins no more deleting when it ends', async () => {
    const { clock, pruned, state, audit } = setup()
    state.tooOld = Number.POSITIVE_INFINITY
    const ended = clock.advance(1_000)
    await audit[Symbol.asyncDispose]()
    await ended
    expect(pruned.length).toBeLessThan(10)
  })
})
