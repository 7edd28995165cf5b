// Reads everything that is known of a project's live state: its raw log, what was told in the topics of metrics and
// sessions, and what the live reader shows.
import type { Inspection } from '@millrace/aggregation/inspection'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { decodeMetric, decodeSession, metricsTopic, sessionsTopic } from '@millrace/contracts'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import type { Admin, ConsumerClient, KafkaRecord } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import type { Redis } from '@millrace/stores/redis'
import { scanTopics } from '../scan-topic.ts'
import type { StreamEvidence } from './compare.ts'
import { recount } from './recount.ts'
import type { Recount } from './recount.ts'
import type { StreamProject } from './stream-project.ts'

/** The settings of the aggregators that decide what is on time and what is over, in milliseconds. */
export interface StreamTiming {
  readonly latenessMs: number
  readonly marginMs: number
  readonly sessionIdleMs: number
}

export interface GatherDeps {
  readonly admin: Pick<Admin, 'ranges' | 'listTopics'>
  readonly client: ConsumerClient
  readonly redis: Redis
  readonly timing: StreamTiming
}

/** What every project has, and what sessions add. */
const metrics = [
  'events',
  'active_users',
  'page_views',
  'sessions',
  'conversions',
  'revenue',
  'bounce_rate',
  'session_duration'
] as const

/** A window that is due is closed with the next look at the clock, and told after that. */
const graceMs = 3_000

/** The evidence of `projects`, whose logs must be applied to their ends. */
export async function gatherStream(
  deps: GatherDeps,
  projects: readonly StreamProject[]
): Promise<readonly StreamEvidence[]> {
  const { admin, client, redis } = deps
  const epochs = createRedisEpochs(redis)
  // Clocks first: what is due by then is told by the time that the topics are read.
  const states = await Promise.all(projects.map(({ projectId }) => epochs.look(projectId)))
  await systemClock.sleep(graceMs)
  const wanted = projects.flatMap(({ projectId, topic }) => [topic, sessionsTopic(projectId)])
  const existing = new Set(await admin.listTopics())
  const topics = [...metrics.map(metricsTopic), ...wanted].filter((topic) => existing.has(topic))
  const scanned = await scanTopics({ admin, client, clock: systemClock, timeoutMs: 120_000 }, topics)
  const told = Map.groupBy(
    metrics.flatMap((metric) => (scanned.get(metricsTopic(metric)) ?? []).map(toMetric)),
    ({ project }) => project
  )
  return await Promise.all(
    projects.map(({ projectId, topic }, index) =>
      toEvidence(deps, projectId, {
        state: states[index],
        log: scanned.get(topic) ?? [],
        metrics: told.get(projectId) ?? [],
        sessions: (scanned.get(sessionsTopic(projectId)) ?? []).map(toSession)
      })
    )
  )
}

interface Gathered {
  readonly state: Inspection | undefined
  readonly log: readonly KafkaRecord[]
  readonly metrics: readonly MetricMessage[]
  readonly sessions: readonly SessionMessage[]
}

async function toEvidence(
  { redis, timing }: GatherDeps,
  projectId: string,
  { state, log, metrics: told, sessions }: Gathered
): Promise<StreamEvidence> {
  const counted = recount(log, timing)
  const live = state?.epochs.get(state.pointer)
  const clocks = live?.partitions.map(({ clockMs }) => clockMs) ?? []
  const read = await createWindowReader(redis).read(projectId, namesOf(counted))
  return {
    projectId,
    recount: counted,
    metrics: told,
    sessions,
    live: read.windows,
    epoch: state?.pointer ?? 0,
    completeFromMs: live?.completeFromMs ?? 0,
    clockMs: clocks.length === 0 ? -1 : Math.min(...clocks) - graceMs,
    settleMs: timing.latenessMs + timing.marginMs,
    sessionIdleMs: timing.sessionIdleMs
  }
}

/** Windows that events make, and those that sessions make, by the hours that events are in. */
function namesOf({ windows }: Recount): readonly string[] {
  const hours = [...windows.values()].filter(({ granularity }) => granularity === '1h').map(({ startMs }) => startMs)
  const ofSessions = [...new Set(hours)].flatMap((hour) => [`bounce_rate:1h:${hour}`, `session_duration:1h:${hour}`])
  return [...windows.keys(), ...ofSessions]
}

function toMetric({ topic, value }: KafkaRecord): MetricMessage {
  const message = decodeMetric(value)
  if (message === undefined) throw new Error(`a record of ${topic} is no message of a metric`)
  return message
}

function toSession({ topic, value }: KafkaRecord): SessionMessage {
  const message = decodeSession(value)
  if (message === undefined) throw new Error(`a record of ${topic} is no message of a session`)
  return message
}
