// What the cases of the stream share: aggregators as processes of their own on the stack of the run, projects whose logs
// are written directly, and the judgement by recount. A case adds the fault.
import { join } from 'node:path'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { EpochInspection } from '@millrace/aggregation/inspection'
import type { Admin, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import type { RunningService, RunningServices } from '@millrace/local-stack/supervisor'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from '../../eventually.ts'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline } from '../../pipeline.ts'
import { createRandom } from '../../random.ts'
import type { Random } from '../../random.ts'
import { unique } from '../../unique.ts'
import type { CaseContext } from '../fault-case.ts'
import type { Verdict, Violation } from '../oracle.ts'
import { compareStream } from './compare.ts'
import type { Compared, StreamEvidence } from './compare.ts'
import { gatherStream } from './gather.ts'
import type { StreamTiming } from './gather.ts'
import { createStreamProjects } from './stream-project.ts'
import type { StreamProject, StreamTopic } from './stream-project.ts'

export interface AggregatorsOptions {
  readonly count: number
  /** `shared`: they divide the partitions. `own`: each is alone in a group of its own and believes it owns them all. */
  readonly groups?: 'shared' | 'own'
  readonly env?: Readonly<Record<string, string>>
  /** Settings of the n-th process (from 1) of the aggregator with this index (from 0). */
  readonly startEnv?: (index: number, start: number) => Readonly<Record<string, string>>
}

/** What was compared, over all projects of a judgement. */
export interface Judged {
  readonly verdict: Verdict
  readonly compared: readonly Compared[]
  readonly evidence: readonly StreamEvidence[]
}

export interface StreamRig extends AsyncDisposable {
  readonly pipeline: Pipeline
  readonly admin: Admin
  readonly producer: Producer
  readonly redis: Redis
  readonly postgres: Postgres
  readonly random: Random
  readonly timing: StreamTiming
  project(topic: StreamTopic): Promise<StreamProject>
  projects(count: number, topic: StreamTopic): Promise<readonly StreamProject[]>
  /** Starts aggregators for these projects alone; they end with the rig. */
  start(projects: readonly StreamProject[], options: AggregatorsOptions): Promise<readonly RunningService[]>
  /** The live epoch of a project; undefined when there is none. */
  live(project: StreamProject): Promise<EpochInspection | undefined>
  /** Resolves when every record of the projects is applied. */
  applied(projects: readonly StreamProject[], timeoutMs?: number): Promise<void>
  /** Resolves when, beyond that, what is due is closed and told. */
  settled(projects: readonly StreamProject[], options?: SettleOptions): Promise<void>
  /** Reads everything and compares. */
  judge(projects: readonly StreamProject[], further?: readonly Violation[]): Promise<Judged>
}

export interface SettleOptions {
  readonly timeoutMs?: number
  /** The clock of the project must have come here; default: nothing. */
  readonly clockMs?: number
}

/** Everything happens quickly, so that a case takes seconds. */
const quick = {
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '500ms',
  TOPIC_REFRESH_MS: '2s',
  CHECK_EVERY_MS: '500',
  CLOCK_EVERY_MS: '250',
  EMIT_EVERY_MS: '100',
  FLUSH_BEHIND_MS: '50',
  FLUSH_AFTER_MS: '20',
  REDIS_TIMEOUT_MS: '1s'
}

/** What of a case the rig needs. */
export interface RigContext extends Pick<CaseContext, 'folder' | 'planted' | 'seed' | 'say'> {
  readonly stack: Pick<CaseContext['stack'], 'endpoints'>
}

/** Opens the rig on the state Redis of the stack or on another one; nothing runs yet. */
export async function openStreamRig(
  context: RigContext,
  timing: StreamTiming,
  stateUrl: string = context.stack.endpoints.REDIS_STATE_URL
): Promise<StreamRig> {
  const { stack, folder, planted, seed, say } = context
  await using opening = new AsyncDisposableStack()
  const pipeline = opening.use(await openPipeline({ endpoints: stack.endpoints, folder, only: [], say }))
  const { admin } = pipeline
  const producer = opening.use(await pipeline.kafka.producer())
  const log = createSilentLogger()
  const redis = opening.use(
    await openRedis({ url: stateUrl, role: 'state', log, requirePolicy: 'when-reachable', commandTimeoutMs: 5_000 })
  )
  const { DATABASE_URL } = stack.endpoints
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
  const stores = { admin, producer, postgres }
  const epochs = createRedisEpochs(redis)
  const live = async ({ projectId }: StreamProject): Promise<EpochInspection | undefined> => {
    const { pointer, epochs: held } = await epochs.inspect(projectId)
    return held.get(pointer)
  }
  const settings = {
    ...quick,
    REDIS_STATE_URL: stateUrl,
    LATENESS_MS: String(timing.latenessMs),
    CLOCK_MARGIN_MS: String(timing.marginMs),
    SESSION_IDLE_MS: String(timing.sessionIdleMs)
  }
  const groups = opening.use(new AsyncDisposableStack())
  const opened = opening.move()
  return {
    pipeline,
    admin,
    producer,
    redis,
    postgres,
    timing,
    live,
    random: createRandom(`stream-${seed}`),
    async project(topic) {
      const [made] = await createStreamProjects(stores, 1, topic)
      if (made === undefined) throw new Error('no project was made')
      return made
    },
    projects: (count, topic) => createStreamProjects(stores, count, topic),
    async start(projects, { count, groups: kind = 'shared', env, startEnv }) {
      const group = unique('aggregate')
      const running = await Promise.all(
        Array.from({ length: count }, async (_, index): Promise<RunningServices> => {
          const services = await startServices({
            endpoints: { ...stack.endpoints },
            pepper: 'test',
            folder: join(folder, `${group}-${index}`),
            ports: 'ephemeral',
            only: ['aggregator'],
            env: {
              MILLRACE_TEST: '1',
              ...settings,
              PROJECTS: projects.map(({ projectId }) => projectId).join(','),
              CONSUMER_GROUP: kind === 'own' ? `${group}-${index}` : group,
              ...(planted === undefined ? {} : { MILLRACE_PLANTED_BUG: planted }),
              ...env
            },
            ...(startEnv === undefined ? {} : { startEnv: (_name, start) => startEnv(index, start) }),
            onEvent: (event) => {
              if (event.kind === 'exited') say(`aggregator ${index} ended: ${event.exit.signal ?? event.exit.code}`)
            }
          })
          groups.use(services)
          return services
        })
      )
      return running.map((services) => services.service('aggregator'))
    },
    async applied(projects, timeoutMs = 60_000) {
      for (const project of projects) await untilApplied(admin, live, project, timeoutMs)
    },
    async settled(projects, { timeoutMs = 60_000, clockMs = 0 } = {}) {
      for (const project of projects) {
        await untilApplied(admin, live, project, timeoutMs)
        await eventually(
          `${project.topic} is closed and told`,
          async () => {
            const state = await live(project)
            const clock = Math.min(...(state?.partitions.map((each) => each.clockMs) ?? [-1]))
            const { dirtyWindows = -1, dirtySessions = -1, openSessions = -1 } = state?.sizes ?? {}
            if (clock >= clockMs && dirtyWindows === 0 && dirtySessions === 0 && openSessions === 0) return true
            throw new Error(`clock ${clock}, ${JSON.stringify(state?.sizes)}`)
          },
          { timeoutMs, intervalMs: 200 }
        )
      }
    },
    async judge(projects, further = []) {
      const deps = { admin, client: pipeline.kafka.consumers, redis, timing }
      const evidence = await gatherStream(deps, projects)
      const compared = evidence.map(compareStream)
      return { verdict: toVerdict(evidence, compared, further), compared, evidence }
    },
    async [Symbol.asyncDispose]() {
      await opened.disposeAsync()
    }
  }
}

async function untilApplied(
  admin: Admin,
  live: StreamRig['live'],
  project: StreamProject,
  timeoutMs: number
): Promise<void> {
  const { topic } = project
  await eventually(
    `${topic} is applied`,
    async () => {
      const [ranges, state] = await Promise.all([admin.ranges(topic), live(project)])
      const behind = ranges.filter(({ partition, end }) => (state?.partitions[partition]?.position ?? 0n) !== end)
      if (behind.length === 0) return true
      throw new Error(`${behind.length} of ${ranges.length} partitions are not at their end`)
    },
    { timeoutMs, intervalMs: 200 }
  )
}

function toVerdict(
  evidence: readonly StreamEvidence[],
  compared: readonly Compared[],
  further: readonly Violation[]
): Verdict {
  const sum = (of: (each: StreamEvidence) => number): number => evidence.reduce((total, each) => total + of(each), 0)
  const byProblem = Map.groupBy(
    compared.flatMap(({ violations }) => violations),
    ({ problem }) => problem
  )
  const violations = [...byProblem].map(([problem, found]) => ({
    invariant: 'INV-4' as const,
    problem,
    count: found.reduce((total, { count }) => total + count, 0),
    examples: found.flatMap(({ examples }) => examples).slice(0, 10)
  }))
  return {
    violations: [...violations, ...further],
    figures: {
      attempts: sum(({ recount }) => recount.counts.records),
      acked: sum(({ recount }) => recount.counts.records),
      lost: 0,
      refused: 0,
      logged: sum(({ recount }) => recount.counts.events),
      logCopies: sum(({ recount }) => recount.counts.copies),
      letters: 0,
      visibleCopies: 0,
      unknown: 0,
      unchecked: 0,
      unresolved: 0,
      unavailable: 0
    }
  }
}

/** Waits until the wall clock has come to `untilMs`. */
export async function sleepUntil(untilMs: number): Promise<void> {
  await systemClock.sleep(Math.max(0, untilMs - systemClock.now()))
}
