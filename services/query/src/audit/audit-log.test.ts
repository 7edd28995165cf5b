import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { startAuditLog } from './audit-log.ts'
import type { AuditPolicy, AuditedQuestion } from './audit-log.ts'
import type { AuditRow } from './audit-rows.ts'

function setup(policy: Partial<AuditPolicy> = {}, maxQueued = 3) {
  const clock = createManualClock(Date.parse('2026-06-15T00:00:00Z'))
  const written: AuditRow[] = []
  const pruned: Date[] = []
  const state = { isAway: false, dropped: 0 }
  const audit = startAuditLog({
    rows: {
      insert: async (rows) => {
        if (state.isAway) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'down')
        if (rows.some(({ sql }) => sql === 'bad')) throw new AppError('PIPE_POSTGRES_REFUSED', 'bad')
        written.push(...rows)
      },
      deleteBefore: async (at) => pruned.push(at)
    },
    policy: { questions: 'engine', text: 'hash', keepMs: 86_400_000, ...policy },
    clock,
    log: createSilentLogger(),
    metrics: {
      audited: { add: () => {} },
      auditDropped: { add: (count: number) => void (state.dropped += count) }
    } as never,
    maxQueued
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

  it('deletes what is too old each hour, and writes what is queued when it ends', async () => {
    const { clock, pruned, written, audit } = setup()
    await clock.advance(1_000)
    await clock.advance(3_600_000)
    expect(pruned.map((at) => at.toISOString())).toEqual(['2026-06-14T00:00:01.000Z', '2026-06-14T01:00:01.000Z'])
    audit.add(question('last'))
    await audit[Symbol.asyncDispose]()
    expect(written).toHaveLength(1)
  })
})
