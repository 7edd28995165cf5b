import { beforeAll, describe, expect, it } from 'vitest'
import { gate, loadGate } from './gate.ts'
import { isOverBefore } from './time-range.ts'

beforeAll(loadGate)

const beforeMs = Date.UTC(2026, 0, 3)
const isOver = (sql: string, params: Readonly<Record<string, unknown>> = {}): boolean => {
  const gated = gate(sql)
  if (!gated.ok) throw new Error(gated.detail)
  return isOverBefore(gated.ends, params, beforeMs)
}

describe('the time of a query', () => {
  it.each([
    "SELECT count() FROM events WHERE timestamp < '2026-01-02'",
    "SELECT count() FROM events WHERE timestamp < '2026-01-03'",
    "SELECT count() FROM events WHERE eventType = 'x' AND (timestamp >= '2025-01-01' AND timestamp <= '2026-01-02 23:59:59.999')",
    "SELECT count() FROM events e WHERE e.timestamp BETWEEN '2026-01-01' AND toDateTime64('2026-01-02 10:00:00', 3)",
    "SELECT count() FROM events WHERE toDate(timestamp) = '2026-01-02'",
    "SELECT count() FROM events WHERE '2026-01-02' > timestamp",
    "SELECT a FROM (SELECT count() AS a FROM events WHERE timestamp < '2026-01-02') AS x",
    "WITH d AS (SELECT userId FROM events WHERE timestamp < '2026-01-02') SELECT count() FROM d",
    'SELECT 1'
  ])('is over: %s', (sql) => expect(isOver(sql)).toBe(true))

  it.each([
    'SELECT count() FROM events',
    "SELECT count() FROM events WHERE timestamp > '2026-01-01'",
    "SELECT count() FROM events WHERE timestamp < '2026-01-04'",
    "SELECT count() FROM events WHERE toDate(timestamp) = '2026-01-03'",
    "SELECT count() FROM events WHERE timestamp < '2026-01-02' OR userId = 'a'",
    "SELECT count() FROM events WHERE NOT timestamp < '2026-01-02'",
    "SELECT count() FROM events WHERE receivedAt < '2026-01-02'",
    "SELECT count() FROM events WHERE timestamp < now() AND timestamp < '2026-01-02'",
    "SELECT now() FROM events WHERE timestamp < '2026-01-02'",
    "SELECT nowInBlock() FROM events WHERE timestamp < '2026-01-02'",
    "SELECT now64InBlock(3) FROM events WHERE timestamp < '2026-01-02'",
    "SELECT curdate() FROM events WHERE timestamp < '2026-01-02'",
    "SELECT count() FROM events_fresh WHERE timestamp < '2026-01-02'",
    "SELECT count() FROM events WHERE timestamp < toDateTime('2026-01-02 00:00:00', 'America/New_York')",
    "SELECT count() FROM events AS a JOIN events AS b ON a.userId = b.userId WHERE a.timestamp < '2026-01-02'",
    "SELECT count() FROM events WHERE timestamp < '2026-01-02' UNION ALL SELECT count() FROM events",
    "SELECT count() FROM events WHERE timestamp < '2026-01-02' AND userId IN (SELECT userId FROM events)",
    "SELECT count() FROM events WHERE timestamp < 'soon'"
  ])('goes on: %s', (sql) => expect(isOver(sql)).toBe(false))

  it('may end at a bound value', () => {
    const sql = 'SELECT count() FROM events WHERE timestamp < {to:DateTime64(3)}'
    expect([
      isOver(sql, { to: '2026-01-02 00:00:00' }),
      isOver(sql, { to: '2026-02-02' }),
      isOver(sql, { to: 1 })
    ]).toEqual([true, false, false])
  })
})
