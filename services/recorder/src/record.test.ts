import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import type { Line } from '@millrace/stores/tab-lines'
import { recorderMetrics } from './metrics.ts'
import { createRecord } from './record.ts'
import { dayMs } from './to-row.ts'

const today = 20_000

const lineOf = (text: string): Line => ({ bytes: Buffer.from(`${text}\n`), start: 0, end: text.length + 1 })
const first = { attempt: 1 }
const present = new AppError('PIPE_CONFLICT', 'a row is there already', { details: { sqlstate: '23505' } })

function setUp(options: { inserted?: number; fails?: AppError; copies?: readonly string[] } = {}) {
  const calls: string[] = []
  const registry = createRegistry()
  const record = createRecord({
    postgres: {
      async transaction(fn) {
        const result = await fn({
          query: async <R>() => [{ count: options.inserted ?? 0 }] as R[],
          copy: async (statement, lines) => {
            const table = statement.split(' ')[1] ?? ''
            calls.push(`${table} ${lines.toString()}`)
            if (options.fails !== undefined) throw options.fails
            if (table === 'raw_events' && options.copies?.some((line) => lines.includes(line))) throw present
          }
        })
        calls.push('commit')
        return result
      }
    },
    days: {
      ensure: async (days) => void calls.push(`days ${[...days].join(' ')}`),
      forget: () => calls.push('forget')
    },
    retentionDays: 90,
    metrics: bindMetrics(recorderMetrics, registry),
    clock: createManualClock(today * dayMs + 5_000),
    faults: { at: (label) => void calls.push(label) }
  })
  const rows = async (): Promise<unknown> =>
    (await registry.getSingleMetric('analytics_recorder_rows_total')?.get())?.values.map(({ labels, value }) => [
      labels['outcome'],
      value
    ])
  return { record, calls, rows }
}

describe('record', () => {
  it('writes a batch in one transaction, after its days are there, and is done behind the commit', async () => {
    const { record, calls, rows } = setUp()
    const items = [
      { day: today, line: lineOf('a') },
      { day: today - 90, line: lineOf('b') },
      { day: today, line: lineOf('c') }
    ]
    expect(await record({ items }, first)).toEqual([{ kind: 'done' }, { kind: 'done' }, { kind: 'done' }])
    expect(calls).toEqual([
      `days ${today} ${today - 90}`,
      'recorder.before-insert',
      'raw_events a\nb\nc\n',
      'commit',
      'recorder.after-insert'
    ])
    expect(await rows()).toEqual([
      ['inserted', 3],
      ['present', 0]
    ])
  })

  it('merges a batch with copies of what is there, and the next ones at once', async () => {
    const { record, calls, rows } = setUp({ inserted: 1, copies: ['b'] })
    const items = ['a', 'b'].map((text) => ({ day: today, line: lineOf(text) }))
    expect(await record({ items }, first)).toEqual([{ kind: 'done' }, { kind: 'done' }])
    expect(await rows()).toEqual([
      ['inserted', 1],
      ['present', 1]
    ])
    const tables = (): string[] => calls.flatMap((call) => /^(raw_events|incoming) /.exec(call)?.[1] ?? [])
    expect(tables()).toEqual(['raw_events', 'incoming'])
    for (let batch = 0; batch < 20; batch++) await record({ items: [{ day: today, line: lineOf('c') }] }, first)
    expect(tables().slice(2)).toEqual([...Array<string>(19).fill('incoming'), 'raw_events'])
  })

  it('merges a batch that was tried before', async () => {
    const { record, calls } = setUp({ inserted: 1 })
    await record({ items: [{ day: today, line: lineOf('a') }] }, { attempt: 2 })
    expect(calls).toContain('incoming a\n')
    expect(calls).not.toContain('raw_events a\n')
  })

  it('leaves out what is older than the retention, says so for each, and needs no transaction for those alone', async () => {
    const { record, calls } = setUp()
    const old = { day: today - 91, line: lineOf('old') }
    expect(await record({ items: [old, { day: today, line: lineOf('new') }] }, first)).toEqual([
      { kind: 'skip', reason: 'expired' },
      { kind: 'done' }
    ])
    expect(calls).toContain('raw_events new\n')
    calls.length = 0
    expect(await record({ items: [old] }, first)).toEqual([{ kind: 'skip', reason: 'expired' }])
    expect(calls).toEqual([])
  })

  it('waits and makes the day again when it went away, instead of blaming a row', async () => {
    const fails = new AppError('PIPE_POSTGRES_REFUSED', 'no partition', { details: { sqlstate: '23514' } })
    const { record, calls } = setUp({ fails })
    await expect(record({ items: [{ day: today, line: lineOf('a') }] }, first)).rejects.toMatchObject({
      class: 'transient'
    })
    expect(calls.at(-1)).toBe('forget')
  })

  it('passes on what PostgreSQL says of a row', async () => {
    const fails = new AppError('PIPE_POSTGRES_REFUSED', 'bad row', { details: { sqlstate: '22P02' } })
    const { record, calls } = setUp({ fails })
    await expect(record({ items: [{ day: today, line: lineOf('a') }] }, first)).rejects.toBe(fails)
    expect(calls).not.toContain('forget')
  })
})
