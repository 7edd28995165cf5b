// Clients that ask something long and go away: two seconds later the engine does nothing for them any more. As long as
// one of several that asked the same still waits, it goes on.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import type { Violation } from '../oracle.ts'
import { openQueryRig, verdictOf } from './rig.ts'
import type { QueryRig } from './rig.ts'

const goneWithinMs = 2_000

export const clientsGone: FaultCase = {
  name: 'clients-gone',
  title: 'clients that go away: alone, one of two, while rows are sent, and while they wait for a place',
  counters: ['ran before', 'ended', 'went on for another'],
  async run(context) {
    const { counters } = context
    await using rig = await openQueryRig(context, {
      projects: 2,
      env: { QUERY_TIMEOUT_MS: '60s', QUERY_QUEUE_MS: '20s' }
    })
    const violations: Violation[] = []
    const [first, second] = rig.projects
    if (first === undefined || second === undefined) throw new Error('the rig has no projects')
    for (const [name, headers] of [
      ['alone', {}],
      ['rows', { accept: 'application/x-ndjson' }]
    ] as const) {
      const client = leaving(rig, name, headers)
      counters.count('ran before', await client.runs())
      client.leave()
      violations.push(...(await client.ends()))
    }
    const [stays, leaves] = [leaving(rig, 'both'), leaving(rig, 'both')]
    counters.count('ran before', await stays.runs())
    // The second one has joined by now.
    await systemClock.sleep(500)
    leaves.leave()
    await systemClock.sleep(goneWithinMs)
    if ((await runningOf(rig, 'both')) === 1) counters.count('went on for another')
    stays.leave()
    violations.push(...(await stays.ends()))
    const queued = ['a', 'b', 'c'].map((name) => leaving(rig, `queue-${name}`))
    await eventually('two of three run', async () => (await runningOf(rig, 'queue-')) === 2)
    for (const each of queued) each.leave()
    violations.push(...(await leavingEnd(rig, 'queue-')))
    counters.count('ended', violations.length === 0 ? 4 : 0)
    return verdictOf(violations)
  }
}

function leaving(rig: QueryRig, mark: string, headers: Readonly<Record<string, string>> = {}) {
  const client = new AbortController()
  const [project] = rig.projects
  if (project === undefined) throw new Error('the rig has no project')
  const isStream = headers['accept'] !== undefined
  const sql = isStream
    ? `SELECT number, SHA512(concat(toString(number), '${mark}')) FROM numbers(900000)`
    : `SELECT max(SHA512(concat(toString(number), '${mark}'))) FROM numbers(800000000)`
  const asking = isStream
    ? readSlowly(rig, project.secretKey, sql, client.signal)
    : rig.ask(project, sql, { headers, signal: client.signal })
  void asking
  return {
    leave: () => client.abort(),
    runs: async (): Promise<number> => {
      await eventually(`the query ${mark} runs`, async () => (await runningOf(rig, mark)) === 1, { intervalMs: 50 })
      return 1
    },
    ends: () => leavingEnd(rig, mark)
  }
}

/** Takes the first rows and then no more. */
async function readSlowly(rig: QueryRig, key: string, sql: string, signal: AbortSignal): Promise<void> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}`, accept: 'application/x-ndjson' }
  const body = JSON.stringify({ sql })
  const url = `${rig.services[0]?.url}/v1/query`
  await fetch(url, { method: 'POST', headers, body, signal }).catch(() => undefined)
}

async function leavingEnd(rig: QueryRig, mark: string): Promise<readonly Violation[]> {
  const untilMs = systemClock.monotonic() + goneWithinMs
  let running = await runningOf(rig, mark)
  while (running > 0 && systemClock.monotonic() < untilMs) {
    await systemClock.sleep(50)
    running = await runningOf(rig, mark)
  }
  return broken('progress', `a query runs ${goneWithinMs} ms after its client left`, running > 0 ? [mark] : [])
}

/** Queries with `mark` that the engine runs now. */
async function runningOf({ clickhouse }: QueryRig, mark: string): Promise<number> {
  const [row] = await clickhouse.rows<{ n: string }>(
    "SELECT count() AS n FROM system.processes WHERE positionCaseInsensitive(query, {mark:String}) > 0 AND query NOT LIKE '%system.processes%'",
    { mark: `'${mark}` }
  )
  return Number(row?.n ?? 0)
}
