// The warehouse is dropped under load and loaded again by `archive rebuild`, which is killed in the middle again and again
// while loaders go on inserting. The beginning of the log is gone, so only the archive has it.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { startServices } from '@millrace/local-stack/supervisor'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import { trimLog } from '../../trim-log.ts'
import { unique } from '../../unique.ts'
import type { FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { openArchiveRig } from './rig.ts'

const kills = 6
const tables = ['events_raw', 'identity_links', 'first_seen']

export const rebuildKilled: FaultCase = {
  name: 'rebuild-killed',
  title: `the warehouse dropped under load and loaded again by a rebuild that is SIGKILLed ${kills} times, loaders running`,
  counters: ['records only in the archive', 'rebuild killed', 'events while the tables were gone'],
  async run(context) {
    const { counters, folder, seed, say, stack } = context
    const random = createRandom(`rebuild-${seed}`)
    await using rig = await openArchiveRig(context)
    const archiver = await rig.startArchiver()
    const url = stack.endpoints.CLICKHOUSE_URL
    await using clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' })
    const env = { MILLRACE_TEST: '1', PROJECTS: rig.project, CONSUMER_GROUP: unique('load'), FLUSH_AFTER_MS: '100' }
    await using _loaders = await startServices({
      endpoints: stack.endpoints,
      pepper: 'test',
      folder: join(folder, 'loader'),
      ports: 'ephemeral',
      only: ['loader'],
      env
    })
    await rig.moves(6_000)
    await eventually('some of it in the warehouse', async () => (await seen(clickhouse, rig.project)).size > 2_000, {
      timeoutMs: 60_000
    })
    await trimLog(stack.endpoints.KAFKA_BROKERS, rig.topic, await rig.heads())
    counters.count('records only in the archive', Number([...(await rig.heads()).values()].reduce((a, b) => a + b, 0n)))
    for (const table of tables) await clickhouse.command(`DROP TABLE ${table} SYNC`)
    const before = rig.acked()
    await rig.moves(500)
    counters.count('events while the tables were gone', rig.acked() - before)
    const rebuild = (): ChildProcess =>
      spawn(
        process.execPath,
        [join(repositoryRoot, 'services/cli/bin/millrace.mjs'), 'archive', 'rebuild', '--into', 'warehouse'].concat([
          '--project',
          rig.project,
          '--rate',
          '2000',
          '--group',
          env.CONSUMER_GROUP,
          '--data-dir',
          folder,
          '--json'
        ]),
        {
          env: { ...stack.endpoints, OBJECT_STORE_URL: rig.objectStoreUrl, PATH: process.env['PATH'] },
          stdio: 'inherit'
        }
      )
    for (let kill = 0; kill < kills; kill++) {
      const child = rebuild()
      // Sooner or later: while it starts, while it makes tables, while it loads.
      await systemClock.sleep(200 + random.below(5_000))
      if (child.exitCode === null && child.kill('SIGKILL')) counters.count('rebuild killed')
      await once(child, 'exit').catch(() => undefined)
    }
    say(`${rig.acked()} records so far`)
    const [code] = (await once(rebuild(), 'exit')) as [number | null]
    const verdict = await rig.judge()
    return ofWarehouse(verdict, code, archiver.starts, rig.ids(), await settled(clickhouse, rig.project, rig.ids()))
  }
}

async function seen(clickhouse: Clickhouse, project: string): Promise<ReadonlyMap<string, number>> {
  const sql = 'SELECT eventId, count() AS copies FROM events WHERE projectId = {project:String} GROUP BY eventId'
  const rows = await clickhouse
    .rows<{ eventId: string; copies: string }>(sql, { project })
    // The tables are away for a while.
    .catch(() => [])
  return new Map(rows.map(({ eventId, copies }) => [eventId, Number(copies)]))
}

/** What is there when every id is, or nothing moved for a while. */
async function settled(clickhouse: Clickhouse, project: string, ids: ReadonlySet<string>) {
  const all = async (): Promise<boolean> => (await seen(clickhouse, project)).size >= ids.size
  await eventually('everything in the warehouse', all, { timeoutMs: 60_000, intervalMs: 500 }).catch(() => undefined)
  return await seen(clickhouse, project)
}

function ofWarehouse(
  verdict: Verdict,
  code: number | null,
  archivers: number,
  ids: ReadonlySet<string>,
  copies: ReadonlyMap<string, number>
): Verdict {
  const lost = [...ids].filter((id) => !copies.has(id))
  const twice = [...copies].filter(([, count]) => count > 1).map(([id]) => id)
  const found = [
    { problem: 'in the log, not in the warehouse', examples: lost },
    { problem: 'in the warehouse more than once', examples: twice },
    { problem: 'the last rebuild failed', examples: code === 0 ? [] : [`exit code ${code}`] },
    { problem: 'the archiver ended', examples: archivers === 1 ? [] : [`${archivers} processes`] }
  ].filter(({ examples }) => examples.length > 0)
  const violations = found.map(({ problem, examples }) => ({
    invariant: 'INV-3' as const,
    problem,
    count: examples.length,
    examples: examples.slice(0, 10)
  }))
  return { ...verdict, violations: [...verdict.violations, ...violations] }
}
