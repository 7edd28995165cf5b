// The whole history read again, twice, under live load: by every group at once, while the process that reads is killed and
// others join and leave, and the live state built anew beside the one in force. What is there afterwards is what was there:
// rows, letters, files, and every final window and closed session field by field.
import { join } from 'node:path'
import { processedTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import { lagOf } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import type { Violation } from '../oracle.ts'
import { scanTopic } from '../scan-topic.ts'
import { compareStream } from '../stream/compare.ts'
import type { StreamEvidence } from '../stream/compare.ts'
import type { StreamTiming } from '../stream/gather.ts'
import { runCli } from '../stream/run-cli.ts'
import type { CliEnd } from '../stream/run-cli.ts'
import { eventWriter } from './event-writer.ts'
import type { WriteEvents } from './event-writer.ts'
import { compareFinals } from './finals.ts'
import { openLiveTruth, timingEnv } from './live-truth.ts'
import { compareIds, openOperationsRig } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const historySessions = 6_000
const workers = ['processor', 'loader', 'recorder', 'aggregator', 'archiver'] as const
/** Short, so that what is replayed has final windows and closed sessions; long enough for a machine that stalls. */
const timing: StreamTiming = { latenessMs: 40_000, marginMs: 5_000, sessionIdleMs: 5_000 }
const settleMs = timing.latenessMs + timing.marginMs + timing.sessionIdleMs
const env = { ...timingEnv(timing), FILE_AFTER_MS: '2s', SMALL_BYTES: '0', TAIL_AFTER_MS: '2s', CLOCK_EVERY_MS: '500' }
/** The history lies in this time before it is written. */
const historyMs = 15_000
const garbage = [{ partition: 1, key: 'g', value: Buffer.from('no event') }]

export const replayedTwice: FaultCase = {
  name: 'replayed-twice',
  title: `${historySessions} sessions of events read again twice by every group under load, with the loader SIGKILLed and members joining`,
  counters: [
    'replays done',
    'epochs flipped',
    'loader killed in a replay',
    'members that joined and left',
    'events shown again to others',
    'live events meanwhile',
    'files in the archive',
    'final values before',
    'closed sessions before',
    'told anew by a later epoch',
    'final windows recounted',
    'closed sessions recounted',
    'planted losses found'
  ],
  async run(context) {
    const { counters } = context
    await using rig = await openOperationsRig(context, { only: workers, env })
    await using truth = await openLiveTruth(rig, timing)
    const write = eventWriter(rig, createRandom(`replayed-${context.seed}`))
    await minuteJustEnded()
    const ids = [...(await write('h', historySessions, historyMs))]
    await rig.append(garbage)
    await rig.caughtUp(['process', 'load', 'record'])
    const cuts = await endsOf(rig)
    await truth.settled(systemClock.now() + settleMs)
    const before = await truth.gather()
    const archive = await archiveOf(rig)
    counters.count('files in the archive', archive.files.length)
    const load = keepWriting(write, ids)
    const lag = watchLag(rig)
    const ends = await replayTwice(context, rig)
    counters.count('live events meanwhile', await load.stop())
    const worstLag = await lag.stop()
    context.say(`the loaders were at most ${worstLag} records behind the end of the log`)
    await rig.caughtUp(['process', 'load', 'record'])
    await truth.settled(systemClock.now() + settleMs)
    const after = await truth.gather()
    const violations = [
      ...broken(
        'edge',
        'a command failed',
        ends.flatMap(({ code, errors }) => (code === 0 ? [] : [`${code}: ${errors.slice(0, 500)}`]))
      ),
      ...(await judgeSinks(context, rig, ids, cuts)),
      ...judgeLive(context, before, after),
      ...(await judgeArchive(context, rig, archive)),
      ...(await judgeReconcile(context, rig, ids))
    ]
    return rig.verdict(violations, await rig.letters())
  }
}

/** So that the history has events of a minute that is over, whose windows are final once it has settled. */
async function minuteJustEnded(): Promise<void> {
  const intoMinuteMs = (): number => systemClock.now() % 60_000
  while (intoMinuteMs() < historyMs / 3 || intoMinuteMs() > (2 * historyMs) / 3) await systemClock.sleep(200)
}

/** The whole history by every group, twice; a loader dies in the first turn, members come and go in the second. */
async function replayTwice(context: CaseContext, rig: OperationsRig): Promise<readonly CliEnd[]> {
  const { counters } = context
  const ends: CliEnd[] = []
  for (const turn of [0, 1]) {
    const start = ['replay', 'start', '--from-offset', 'earliest', '--group']
    const [cli] = await Promise.all([
      millrace(context, rig, [...start, 'process,load,record', '--wait']),
      turn === 0 ? killLoader(context, rig) : joinAndLeave(context, rig)
    ])
    const built = await millrace(context, rig, [...start, 'aggregate'])
    counters.count('replays done', cli.code === 0 ? 3 : 0)
    counters.count('epochs flipped', built.code === 0 ? 1 : 0)
    ends.push(cli, built)
  }
  return ends
}

/** Offsets behind the history, by partition. */
async function endsOf({ pipeline, topic }: OperationsRig): Promise<readonly bigint[]> {
  return (await pipeline.admin.ranges(topic)).map(({ end }) => end)
}

interface Archive {
  readonly heads: ReadonlyMap<number, bigint>
  /** Names, places and sums of the files. */
  readonly files: readonly string[]
}

/** The archive once it has come to the end of the log that there is now. */
async function archiveOf(rig: OperationsRig): Promise<Archive> {
  const manifest = createArchiveManifest(rig.postgres)
  const ends = await endsOf(rig)
  const look = async (): Promise<ReadonlyMap<number, bigint>> =>
    new Map((await manifest.heads(rig.topic)).map(({ partition, position }) => [partition, position]))
  const isThere = async (): Promise<boolean> => {
    const heads = await look()
    return ends.every((end, partition) => (heads.get(partition) ?? 0n) >= end)
  }
  await eventually('the archive at the end of the log', isThere, { timeoutMs: 120_000, intervalMs: 500 })
  const files = await manifest.files({ topic: rig.topic })
  return {
    heads: await look(),
    files: files.map(({ key, first, last, rows, sha256 }) => `${key} ${first} ${last} ${rows} ${sha256}`)
  }
}

/** Nothing of the archive was written again: its files are the same and its heads went on from where they were. */
async function judgeArchive(context: CaseContext, rig: OperationsRig, before: Archive): Promise<readonly Violation[]> {
  const after = await archiveOf(rig)
  const now = new Set(after.files)
  const back = [...before.heads].filter(([partition, head]) => (after.heads.get(partition) ?? 0n) < head)
  const verified = await millrace(context, rig, ['archive', 'verify'])
  return [
    ...broken(
      'INV-5',
      'files that are gone or other ones',
      before.files.filter((file) => !now.has(file))
    ),
    ...broken(
      'INV-5',
      'a head went back',
      back.map(([partition, head]) => `${partition}: before ${head}`)
    ),
    ...broken('INV-5', 'the archive is not as promised', verified.code === 0 ? [] : [verified.output.slice(0, 1_000)])
  ]
}

/** What was final is what it was, field by field, and all of it equals a recount of the log. */
function judgeLive({ counters }: CaseContext, before: StreamEvidence, after: StreamEvidence): readonly Violation[] {
  const finals = compareFinals(before, after)
  counters.count('final values before', finals.windows)
  counters.count('closed sessions before', finals.sessions)
  counters.count('told anew by a later epoch', finals.toldAnew)
  const recounted = compareStream(after)
  counters.count('final windows recounted', recounted.closedWindows)
  counters.count('closed sessions recounted', recounted.closedSessions)
  return [...compareStream(before).violations, ...finals.violations, ...recounted.violations]
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

interface Running<T> {
  stop(): Promise<T>
}

/** Some 200 events a second; their ids go to `ids`. */
function keepWriting(write: WriteEvents, ids: string[]): Running<number> {
  let running = true
  const before = ids.length
  const turns = (async () => {
    for (let turn = 0; running; turn++) {
      ids.push(...(await write(`l${turn}`, 8, 1_000)))
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
  await begun(rig)
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
  { counters, stack }: CaseContext,
  rig: OperationsRig,
  ids: readonly string[],
  cuts: readonly bigint[]
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
  const letters = new Set((await rig.letters()).map(({ id }) => id))
  const below = await visibleBelow(stack.endpoints.CLICKHOUSE_URL, rig.project.projectId, cuts)
  const history = ids.filter((id) => id.startsWith('h-')).length
  return [
    ...compareIds('the view events', ids, await rig.pipeline.visibleIds(rig.project.projectId)),
    ...broken(
      'INV-3',
      'the view counts something else below the cut',
      below === history ? [] : [`${below}, not ${history}`]
    ),
    ...compareIds('raw_events', ids, await rig.recorded()),
    ...broken(
      'INV-3',
      'never shown to consumers of the processed topic',
      ids.filter((id) => !shown.has(id))
    ),
    ...broken(
      'INV-10',
      'letters other than the one of the record that is no event',
      letters.size === 1 ? [] : [...letters]
    )
  ]
}

/** Events of the view whose record lies before the cut of its partition. */
async function visibleBelow(url: string, projectId: string, cuts: readonly bigint[]): Promise<number> {
  await using clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' })
  const before = cuts.map((cut, partition) => `(partition = ${partition} AND offset < ${cut})`).join(' OR ')
  const rows = await clickhouse.rows<{ found: string }>(
    `SELECT count() AS found FROM events WHERE projectId = {projectId:String} AND (${before})`,
    { projectId }
  )
  return Number(rows[0]?.found ?? 0)
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
