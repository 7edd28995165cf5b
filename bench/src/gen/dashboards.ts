// Questions of people who look at dashboards: some are opened all the time and most hardly ever, and opening one asks all
// of its panels. Two panels in six are about days that are over.
import { createRandom } from '@millrace/testkit/random'
import { createZipf } from './workloads.ts'

/** Panels of a dashboard. */
export const panels = 6

const zipfExponent = 1.05
const types = ['page_view', 'product_view', 'add_to_cart', 'purchase'] as const

/** The questions of the dashboard with a number, which no other one asks. */
export function dashboardOf(number: number): readonly string[] {
  const users = `userId LIKE 'user-${number}%'`
  const type = `eventType = '${types[number % types.length]}'`
  const since = `timestamp >= '2026-06-01'`
  const over = `${since} AND timestamp < '2026-06-15'`
  return [
    `SELECT count() FROM events WHERE ${users} AND ${type} AND ${since}`,
    `SELECT uniq(userId) FROM events WHERE ${users} AND ${since}`,
    `SELECT eventType, count() AS n FROM events WHERE ${users} AND ${since} GROUP BY eventType ORDER BY n DESC`,
    `SELECT max(timestamp) FROM events WHERE ${users} AND ${type} AND ${since}`,
    `SELECT toDate(timestamp) AS day, count() FROM events WHERE ${users} AND ${over} GROUP BY day ORDER BY day`,
    `SELECT toDate(timestamp) AS day, uniq(userId) FROM events WHERE ${users} AND ${over} GROUP BY day ORDER BY day`
  ]
}

/** Questions one after the other, of dashboards by Zipf; the same seed asks the same. */
export function createDashboards(seed: number, dashboards: number): (count: number) => readonly string[] {
  const next = createZipf(dashboards, zipfExponent, createRandom(`dashboards-${seed}`))
  let waiting: readonly string[] = []
  return (count) =>
    Array.from({ length: count }, () => {
      if (waiting.length === 0) waiting = dashboardOf(next())
      const [sql = '', ...others] = waiting
      waiting = others
      return sql
    })
}

/** Bodies of POST /v1/query. */
export function toBodies(questions: readonly string[]): readonly Buffer[] {
  return questions.map((sql) => Buffer.from(JSON.stringify({ sql })))
}
