// What a replay in a storm needs: the workers of one project on three brokers, the members that come and go, the tool, and a
// look at everything that a replay must leave as it is.
import { join } from 'node:path'
import { systemClock } from '@millrace/kernel'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { eventually } from '../../eventually.ts'
import type { ThreeBrokers } from '../../three-brokers.ts'
import { unique } from '../../unique.ts'
import { killLeader } from '../brokers.ts'
import { lagOf } from '../check-project.ts'
import type { CaseContext } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { backlogTiming } from '../stream/backlog.ts'
import type { StreamRig } from '../stream/rig.ts'
import { runCli } from '../stream/run-cli.ts'
import type { CliEnd } from '../stream/run-cli.ts'
import type { StreamProject } from '../stream/stream-project.ts'
import type { Told } from './finals.ts'
import { plantedEnv, recordedIds } from './rig.ts'

const everyMs = 3_000
const awayMs = 6_000
/** Members that come and go at least, and at most: a group needs some rest to come to an end. */
const [fewestComers, mostComers] = [6, 12]
/** Live events arrive late while a partition has no leader; they are on time all the same. */
export const stormTiming = { ...backlogTiming, latenessMs: 40_000 }

type Sink = 'recorder' | 'loader' | 'archiver'
const comers = ['aggregator', 'recorder', 'loader'] as const
const quick = {
  MILLRACE_TEST: '1',
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '1s',
  FLUSH_AFTER_MS: '200',
  FILE_AFTER_MS: '1s',
  SMALL_BYTES: '0',
  TAIL_AFTER_MS: '2s',
  STORM_PER_MINUTE: '0'
}

/** Everything that a replay must leave as it is. */
export interface Seen {
  readonly told: Told
  readonly epoch: number
  readonly heads: ReadonlyMap<number, bigint>
  readonly files: readonly string[]
  readonly verdict: Verdict
}

/** What is gone from the stores. */
interface Taken {
  /** Of PostgreSQL. */
  readonly rows: number
  /** Of the view of ClickHouse. */
  readonly events: number
}

export interface StormWorld extends AsyncDisposable {
  /** Resolves when recorders, loaders and the archive have everything. */
  settled(): Promise<void>
  look(): Promise<Seen>
  /** How often each event is in `raw_events`. */
  recorded(): Promise<ReadonlyMap<string, number>>
  /** Removes about every third event from both stores. */
  takeAway(): Promise<Taken>
  /** Loaders beside the group, recorders in place, and the aggregator by a new epoch, at once. */
  replayAll(): Promise<readonly CliEnd[]>
  /** Members of all groups come and go while the replays run, within bounds. */
  rage(): Promise<void>
  /** Once everything is being read again. */
  loseLeader(): Promise<void>
}

export interface StormParts {
  readonly cluster: ThreeBrokers
  readonly rig: StreamRig
  readonly project: StreamProject
}

/** Starts one worker of each kind. */
export async function openStormWorld(context: CaseContext, parts: StormParts): Promise<StormWorld> {
  const { cluster, rig, project } = parts
  const { topic } = project
  const { admin, pipeline, postgres } = rig
  await using opening = new AsyncDisposableStack()
  const manifest = createArchiveManifest(postgres)
  const group = unique('aggregate')
  await rig.start([project], { count: 1, env: { CONSUMER_GROUP: group } })
  const start = starter(context, parts)
  opening.use(await start(['recorder', 'loader', 'archiver'], 'sinks'))
  const over = new AbortController()
  const opened = opening.move()
  return {
    settled: () => settled(parts, manifest),
    look: () => look(parts, manifest),
    recorded: () => recordedIds(postgres, project.projectId),
    takeAway: () => takeAway(parts),
    async replayAll() {
      const replay = replayer(context, parts)
      return await Promise.all([
        replay('--group', 'load', '--wait'),
        replay('--group', 'record', '--in-place', '--wait'),
        replay('--group', `aggregate=${group}`).then((end) => (end.code === 0 ? end : flip(context, parts)))
      ]).finally(() => over.abort())
    },
    async rage() {
      for (let turn = 0; turn < fewestComers || (turn < mostComers && !over.signal.aborted); turn++) {
        context.signal.throwIfAborted()
        const untilMs = systemClock.monotonic() + everyMs
        const kind = comers[turn % comers.length] ?? 'loader'
        const kills = turn % 2 === 1
        if (kind === 'aggregator') await comeAndGo(await moreAggregators(parts, group), untilMs, kills)
        else {
          await using services = await start([kind], `more-${turn}`)
          await comeAndGo(services.all, untilMs, kills)
        }
        context.counters.count('members that joined')
      }
    },
    async loseLeader() {
      await begun(parts)
      const sampler = await pipeline.kafka.sampler()
      const { name, back } = await killLeader({ stack: cluster.stack, admin, sampler, topic })
      // Over a replay that is done it is no fault.
      if (!over.signal.aborted) context.counters.count('leader killed')
      context.say(`${name}, which led ${topic}:0, is killed`)
      await systemClock.sleep(awayMs)
      await back()
      context.say(`${name} is back`)
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

type Members = RunningServices['all']

async function moreAggregators({ rig, project }: StormParts, group: string): Promise<Members> {
  return await rig.start([project], { count: 1, env: { CONSUMER_GROUP: group } })
}

async function comeAndGo(members: Members, untilMs: number, kills: boolean): Promise<void> {
  await systemClock.sleep(Math.max(0, untilMs - systemClock.monotonic()))
  for (const member of members) {
    // The group learns of it by its silence.
    if (kills) member.kill('SIGKILL')
    await member.stop()
  }
}

function starter(context: CaseContext, { rig, project }: StormParts) {
  const { folder } = context
  const env = { ...quick, ...plantedEnv(context), PROJECTS: project.projectId, SPOOL_DIR: join(folder, 'spool') }
  return (only: readonly Sink[], name: string): Promise<RunningServices> =>
    startServices({
      endpoints: { ...rig.pipeline.endpoints },
      pepper: 'test',
      folder: join(folder, name),
      ports: 'ephemeral',
      only,
      env
    })
}

/** The tool as an operator runs it, for all that the log has. */
function replayer(context: CaseContext, parts: StormParts) {
  return async (...args: readonly string[]): Promise<CliEnd> => {
    const begunMs = systemClock.monotonic()
    const end = await tool(context, parts, ['replay', 'start', '--from-offset', 'earliest', ...args])
    const tookMs = Math.round(systemClock.monotonic() - begunMs)
    context.say(`replay ${args.join(' ')}: ${end.code} after ${tookMs} ms ${end.errors.trim()}`.trim())
    return end
  }
}

/** A command that met a log without a leader ends and leaves its epoch as it is; this one goes on with it. */
async function flip(context: CaseContext, parts: StormParts): Promise<CliEnd> {
  const end = await eventually(
    'the epoch to be gone on with',
    async () => {
      const tried = await tool(context, parts, ['epoch', 'flip'])
      if (tried.code !== 0) throw new Error(tried.errors)
      return tried
    },
    { timeoutMs: 60_000, intervalMs: 1_000 }
  )
  context.say('the new epoch was gone on with after Kafka was away')
  return end
}

async function tool(
  { folder, planted }: CaseContext,
  { rig, project }: StormParts,
  args: readonly string[]
): Promise<CliEnd> {
  const { latenessMs, sessionIdleMs } = rig.timing
  return await runCli([...args, '--project', project.projectId, '--data-dir', folder, '--json'], {
    ...rig.pipeline.endpoints,
    ...plantedEnv({ planted }),
    LATENESS_MS: String(latenessMs),
    SESSION_IDLE_MS: String(sessionIdleMs),
    SESSION_TIMEOUT_MS: '6s',
    HEARTBEAT_INTERVAL_MS: '500ms'
  })
}

async function settled({ rig: { admin }, project: { topic } }: StormParts, manifest: ArchiveManifest): Promise<void> {
  for (const name of ['record', 'load']) {
    const isThere = async (): Promise<boolean> => (await lagOf(admin, name, topic)) === 0n
    await eventually(`${name} at the end of ${topic}`, isThere, { timeoutMs: 120_000, intervalMs: 250 })
  }
  const isArchived = async (): Promise<boolean> => {
    const heads = await headsOf(manifest, topic)
    return (await admin.ranges(topic)).every(({ partition, end }) => heads.get(partition) === end)
  }
  await eventually(`the archive of ${topic}`, isArchived, { timeoutMs: 60_000, intervalMs: 250 })
}

async function headsOf(manifest: ArchiveManifest, topic: string): Promise<ReadonlyMap<number, bigint>> {
  return new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position]))
}

async function look({ rig, project }: StormParts, manifest: ArchiveManifest): Promise<Seen> {
  const { verdict, evidence } = await rig.judge([project])
  const [found] = evidence
  if (found === undefined) throw new Error('nothing was found')
  const { topic } = project
  const files = (await manifest.files({ topic })).map(({ key }) => key)
  return { verdict, epoch: found.epoch, told: found, heads: await headsOf(manifest, topic), files }
}

/** Both replays are on their way, and the new epoch is. */
async function begun({ rig, project: { projectId } }: StormParts): Promise<void> {
  await eventually(
    'the replays to begin',
    async () => {
      const [row] = await rig.postgres.query<{ replays: number; epochs: number }>(
        `SELECT (SELECT count(*)::integer FROM replays WHERE project_id = $1) AS replays,
          (SELECT count(*)::integer FROM state_epochs WHERE project_id = $1) AS epochs`,
        [projectId]
      )
      return row !== undefined && row.replays >= 2 && row.epochs >= 2
    },
    { timeoutMs: 60_000, intervalMs: 100 }
  )
}

async function takeAway({ rig, project: { projectId } }: StormParts): Promise<Taken> {
  const { pipeline, postgres } = rig
  const before = (await pipeline.visibleIds(projectId)).size
  const url = pipeline.endpoints.CLICKHOUSE_URL
  await using clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' })
  await clickhouse.command(
    `ALTER TABLE events_raw DELETE WHERE projectId = '${projectId}' AND cityHash64(eventId) % 3 = 0`,
    { settings: { mutations_sync: 1 } }
  )
  const rows = await postgres.query(
    'DELETE FROM raw_events WHERE project_id = $1 AND hashtext(event_id) % 3 = 0 RETURNING event_id',
    [projectId]
  )
  return { rows: rows.length, events: before - (await pipeline.visibleIds(projectId)).size }
}
