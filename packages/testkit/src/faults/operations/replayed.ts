// The whole history read again, twice, under live load: by every group at once, while the process that reads is killed and
// others join and leave, and the live state built anew beside the one in force. What is there afterwards is what was there.
import { join } from 'node:path'
import { processedTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { eventually } from '../../eventually.ts'
import { lagOf } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { scanTopic } from '../scan-topic.ts'
import { runCli } from '../stream/run-cli.ts'
import type { CliEnd } from '../stream/run-cli.ts'
import { broken, compareIds, openOperationsRig } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const history = 30_000
const workers = ['processor', 'loader', 'recorder', 'aggregator', 'archiver'] as const
/** So that events of the last hour are on time. */
const env = { LATENESS_MS: '3h', FILE_AFTER_MS: '2s' }
const garbage = [{ partition: 1, key: 'g', value: Buffer.from('no event') }]

export const replayedTwice: FaultCase = {
  name: 'replayed-twice',
  title: `${history} events read again twice by every group under load, with the loader SIGKILLed and members joining`,
  counters: [
    'replays done',
    'epochs flipped',
    'loader killed in a replay',
    'members that joined and left',
    'events shown again to others',
    'live events meanwhile',
    'files in the archive',
    'planted losses found'
  ],
  async run(context) {
    const { counters } = context
    await using rig = await openOperationsRig(context, { only: workers, env })
    const ids = (await rig.write(history)).map(({ eventId }) => eventId)
    await rig.append(garbage)
    await rig.caughtUp(['process', 'load', 'record'])
    await liveCount(rig, ids.length)
    const manifest = createArchiveManifest(rig.postgres)
    const filesOf = async (): Promise<readonly string[]> =>
      (await manifest.files({ topic: rig.topic })).map(({ key }) => key)
    await eventually('files in the archive', async () => (await filesOf()).length > 0, { timeoutMs: 60_000 })
    const files = await filesOf()
    counters.count('files in the archive', files.length)
    const load = keepWriting(rig, ids)
    const lag = watchLag(rig)
    const ends: CliEnd[] = []
    for (const turn of [0, 1]) {
      const [cli] = await Promise.all([
        millrace(context, rig, [
          'replay',
          'start',
          '--group',
          'process,load,record',
          '--from-offset',
          'earliest',
          '--wait'
        ]),
        turn === 0 ? killLoader(context, rig) : joinAndLeave(context, rig)
      ])
      const built = await millrace(context, rig, [
        'replay',
        'start',
        '--group',
        'aggregate',
        '--from-offset',
        'earliest'
      ])
      counters.count('replays done', cli.code === 0 ? 3 : 0)
      counters.count('epochs flipped', built.code === 0 ? 1 : 0)
      ends.push(cli, built)
    }
    counters.count('live events meanwhile', await load.stop())
    const worstLag = await lag.stop()
    context.say(`the loaders were at most ${worstLag} records behind the end of the log`)
    await rig.caughtUp(['process', 'load', 'record'])
    const violations = [
      ...broken(
        'edge',
        'a command failed',
        ends.flatMap(({ code, errors }) => (code === 0 ? [] : [`${code}: ${errors.slice(0, 500)}`]))
      ),
      ...(await judgeSinks(context, rig, ids)),
      ...broken('INV-5', 'files that are gone', await missingOf(files, filesOf)),
      ...(await judgeReconcile(context, rig, ids))
    ]
    return rig.verdict(violations, await rig.letters())
  }
}

async function missingOf(
  before: readonly string[],
  filesOf: () => Promise<readonly string[]>
): Promise<readonly string[]> {
  const now = new Set(await filesOf())
  return before.filter((key) => !now.has(key))
}

/** The tool as an operator runs it, for the project of the rig. */
export async function millrace(
  { stack, folder }: CaseContext,
  rig: OperationsRig,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {}
): Promise<CliEnd> {
  const where = args.includes('abort') || args.includes('--resume') ? [] : ['--project', rig.project.projectId]
  return await runCli([...args, ...where, '--data-dir', folder, '--json'], { ...stack.endpoints, ...env, ...more })
}

/** Resolves when the live state has counted this many events. */
async function liveCount(rig: OperationsRig, count: number): Promise<void> {
  await eventually(
    `${count} events in live windows`,
    async () => {
      const found = await rig.pipeline.liveEvents(rig.project.projectId)
      if (found !== count) throw new Error(`${found} of ${count}`)
      return true
    },
    { timeoutMs: 120_000, intervalMs: 500 }
  )
}

interface Running<T> {
  stop(): Promise<T>
}

/** 200 events a second; their ids go to `ids`. */
function keepWriting(rig: OperationsRig, ids: string[]): Running<number> {
  let running = true
  const before = ids.length
  const turns = (async () => {
    while (running) {
      ids.push(...(await rig.write(40)).map(({ eventId }) => eventId))
      await systemClock.sleep(200)
    }
  })()
  return {
    async stop() {
      running = false
      await turns
      return ids.length - before
    }
  }
}

/** The most that the live group of the loaders was behind, in records. */
function watchLag(rig: OperationsRig): Running<number> {
  let running = true
  let worst = 0
  const turns = (async () => {
    while (running) {
      worst = Math.max(worst, Number(await lagOf(rig.pipeline.admin, 'load', rig.topic).catch(() => 0n)))
      await systemClock.sleep(1_000)
    }
  })()
  return {
    async stop() {
      running = false
      await turns
      return worst
    }
  }
}

/** As soon as a replay of the loaders has read something. */
async function killLoader({ counters }: CaseContext, rig: OperationsRig): Promise<void> {
  await begun(rig)
  const { starts } = rig.service('loader')
  rig.service('loader').kill('SIGKILL')
  counters.count('loader killed in a replay')
  await eventually('the next loader', () => rig.service('loader').starts > starts, { timeoutMs: 60_000 })
}

async function begun(rig: OperationsRig): Promise<void> {
  const reads = async (): Promise<boolean> => {
    const positions = await rig.pipeline.admin.groupOffsets('load-replay', rig.topic)
    const running = await rig.postgres.query(
      `SELECT 1 FROM replays WHERE project_id = $1 AND group_id = 'load' AND state = 'running'`,
      [rig.project.projectId]
    )
    return running.length > 0 && [...positions.values()].some((position) => position > 0n)
  }
  await eventually('a replay to be read', reads, { timeoutMs: 60_000, intervalMs: 50 })
}

/** Members of all groups come and go while it is read. */
async function joinAndLeave({ counters, stack, folder }: CaseContext, rig: OperationsRig): Promise<void> {
  await begun(rig).catch(() => undefined)
  for (let turn = 0; turn < 2; turn++) {
    await using _more = await startServices({
      endpoints: stack.endpoints,
      pepper: 'test',
      folder: join(folder, `more-${turn}`),
      ports: 'ephemeral',
      only: ['processor', 'loader', 'recorder'],
      env: { MILLRACE_TEST: '1', SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '1s', ...env }
    })
    counters.count('members that joined and left', 3)
    await systemClock.sleep(3_000)
  }
}

async function judgeSinks(
  { counters }: CaseContext,
  rig: OperationsRig,
  ids: readonly string[]
): Promise<readonly Violation[]> {
  const { admin, kafka } = rig.pipeline
  const scan = { admin, client: kafka.consumers, clock: systemClock, timeoutMs: 120_000 }
  const processed = await scanTopic(scan, processedTopic(rig.project.projectId))
  const shown = new Map<string, number>()
  let again = 0
  for (const { key, headers } of processed) {
    if (headers['replay'] !== undefined) again++
    else shown.set(String(key), (shown.get(String(key)) ?? 0) + 1)
  }
  counters.count('events shown again to others', again)
  const live = await liveCount(rig, ids.length).then(
    () => [],
    (error: unknown) => [String(error)]
  )
  const letters = new Set((await rig.letters()).map(({ id }) => id))
  return [
    ...compareIds('the view events', ids, await rig.pipeline.visibleIds(rig.project.projectId)),
    ...compareIds('raw_events', ids, await rig.recorded()),
    ...broken(
      'INV-3',
      'never shown to consumers of the processed topic',
      ids.filter((id) => !shown.has(id))
    ),
    ...broken('INV-4', 'live windows count something else', live),
    ...broken(
      'INV-10',
      'letters other than the one of the record that is no event',
      letters.size === 1 ? [] : [...letters]
    )
  ]
}

/** Green as it is, and red with its name for a row that is deleted and a record that is skipped. */
async function judgeReconcile(
  context: CaseContext,
  rig: OperationsRig,
  ids: readonly string[]
): Promise<readonly Violation[]> {
  const url = context.stack.endpoints.CLICKHOUSE_URL
  await using clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' })
  const before = await millrace(context, rig, ['reconcile'])
  const [lost = ''] = ids
  await clickhouse.command(
    `ALTER TABLE events_raw DELETE WHERE projectId = '${rig.project.projectId}' AND eventId = '${lost}'`,
    { settings: { mutations_sync: 1 } }
  )
  const after = await millrace(context, rig, ['reconcile'])
  const isNamed = after.code === 1 && after.output.includes(`"${lost}"`)
  context.counters.count('planted losses found', isNamed ? 1 : 0)
  return [
    ...broken(
      'INV-7',
      'the comparison is red',
      before.code === 0 ? [] : [before.output.slice(0, 1_000), before.errors]
    ),
    ...broken('INV-7', 'a deleted row is not found', isNamed ? [] : [after.output.slice(0, 1_000), after.errors])
  ]
}
