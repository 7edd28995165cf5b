import { describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { keptFrom } from '@millrace/operations/warehouse-retention'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { applyRetention, retentionOf, ttlOf } from './retention.ts'

const dayLengthMs = 86_400_000

describe('retention', () => {
  it('is one rule of the table for each number of days', () => {
    const retention = new Map([
      ['shop', 90],
      ['blog', 30],
      ['app', 90]
    ])
    expect(ttlOf(retention)).toBe(
      "toDateTime(timestamp) + toIntervalDay(30) DELETE WHERE projectId IN ('blog'), " +
        "toDateTime(timestamp) + toIntervalDay(90) DELETE WHERE projectId IN ('app', 'shop')"
    )
    expect(ttlOf(new Map())).toBeUndefined()
    expect(new Map([...retentionOf(ttlOf(retention) ?? '')].toSorted())).toEqual(new Map([...retention].toSorted()))
    expect(retentionOf('changing').size).toBe(0)
  })

  it('makes no rule of days that the server could not add to a time: it would expire everything', () => {
    expect(ttlOf(new Map([['shop', 10_001]]))).toBeUndefined()
    expect(ttlOf(new Map([['shop', 10_000]]))).toContain('toIntervalDay(10000)')
  })

  it('keeps whole days: the first one is not counted anew when a part of it may be gone', () => {
    const retention = new Map([['shop', 2]])
    const noonMs = 100 * dayLengthMs + dayLengthMs / 2
    expect(keptFrom(retention, 'shop', noonMs)).toBe(99 * dayLengthMs)
    expect(keptFrom(retention, 'blog', noonMs)).toBe(Number.NEGATIVE_INFINITY)
  })
})

describe('applying a retention', () => {
  function server(held: { ttl: string; has: number }) {
    const commands: string[] = []
    const written: string[] = []
    const clickhouse: Pick<Clickhouse, 'rows' | 'command' | 'insertLines'> = {
      // The generic of the real method cannot be met by prepared answers.
      rows: ((sql: string) =>
        Promise.resolve(sql.includes('max(version)') ? [{ version: '4' }] : [held])) as Clickhouse['rows'],
      command: (sql) => Promise.resolve(void commands.push(sql)),
      insertLines: (_table, _columns, body) => Promise.resolve(void written.push(String(body)))
    }
    return { clickhouse, commands, written }
  }
  const log = createSilentLogger()
  const rule = "toDateTime(timestamp) + toIntervalDay(3) DELETE WHERE projectId IN ('shop')"

  it('changes the table and remembers what it is', async () => {
    const { clickhouse, commands, written } = server({ ttl: '', has: 0 })
    await applyRetention(clickhouse, new Map([['shop', 3]]), log)
    expect(commands).toEqual([`ALTER TABLE events_raw MODIFY TTL ${rule}`])
    expect(JSON.parse(written.at(-1) ?? '')).toEqual({ name: 'retention', value: rule, version: '5' })
  })

  it('is changed again after a change that was cut off, also back to what it was', async () => {
    const before = "toDateTime(timestamp) + toIntervalDay(90) DELETE WHERE projectId IN ('shop')"
    const cut = server({ ttl: before, has: 1 })
    const noted: string[] = []
    const command = (sql: string) => {
      noted.push(...cut.written)
      return Promise.reject(new Error(sql))
    }
    await expect(applyRetention({ ...cut.clickhouse, command }, new Map([['shop', 3]]), log)).rejects.toThrow(
      'MODIFY TTL'
    )
    const { value: ttl } = JSON.parse(noted.at(-1) ?? JSON.stringify({ value: before })) as { value: string }
    const after = server({ ttl, has: 1 })
    await applyRetention(after.clickhouse, new Map([['shop', 90]]), log)
    expect(after.commands).toEqual([`ALTER TABLE events_raw MODIFY TTL ${before}`])
  })

  it('takes it away when no project has one any more', async () => {
    const { clickhouse, commands } = server({ ttl: rule, has: 1 })
    await applyRetention(clickhouse, new Map(), log)
    expect(commands).toEqual(['ALTER TABLE events_raw REMOVE TTL'])
  })

  it('leaves a table alone that has it, and not one that was made anew', async () => {
    const same = server({ ttl: rule, has: 1 })
    await applyRetention(same.clickhouse, new Map([['shop', 3]]), log)
    expect(same.commands).toEqual([])
    const anew = server({ ttl: rule, has: 0 })
    await applyRetention(anew.clickhouse, new Map([['shop', 3]]), log)
    expect(anew.commands).toHaveLength(1)
  })
})
