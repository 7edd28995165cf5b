// Topics as topics.yaml declares them, able to lose a broker, and keeping records for long enough to catch up.
import type { TopicDeclaration, TopicProfile } from '@millrace/contracts'
import type { Admin, TopicDescription } from '@millrace/kafka'
import type { UnknownGroup } from '../lag-book.ts'
import { compareTopics, describeDifference, listTopics, planTopics } from '../topics.ts'
import { findingsOf, orOk } from './finding.ts'
import type { Finding } from './finding.ts'

export interface TopicCheckDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'describeTopics'>
  readonly declaration: TopicDeclaration
  readonly profile: TopicProfile
  /** Projects whose topics have to be there. */
  readonly projects: () => Promise<readonly string[]>
  /** How old the next record of each group is, and which partitions have a leader. */
  readonly lag: () => Promise<LagFacts>
}

/** What is known of the groups of a pipeline now. */
export interface LagFacts {
  readonly rows: readonly LagFact[]
  readonly leaderless: readonly { readonly topic: string; readonly partition: number }[]
  /** Groups that could not be asked, and why. */
  readonly unknown: readonly UnknownGroup[]
}

/** One partition as one group reads it. */
export interface LagFact {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly records: number
  /** Age of the next record, at least. */
  readonly seconds: number | undefined
}

/** A record has to stay three times as long as the slowest group takes to come to it. */
const retentionOverLag = 3

/** Partitions, copies, least in-sync copies and settings against the declaration. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function checkTopics(deps: TopicCheckDeps): Promise<readonly Finding[]> {
  const { admin, declaration, profile, projects } = deps
  const topics = findingsOf('topics')
  const planned = planTopics(declaration, profile, await projects())
  const described = await listTopics(admin)
  const complaints = compareTopics(planned, described).map((difference) =>
    topics.failure(
      difference.topic,
      describeDifference(difference).slice(difference.topic.length + 2),
      difference.blocking
        ? 'change topics.yaml to what is wanted, or the topic: it cannot be reconciled by itself'
        : 'npx millrace topics ensure'
    )
  )
  return orOk(
    [...complaints, ...described.flatMap(inSyncFindings)],
    topics.ok('topics.yaml', `${planned.length} topics are as declared`)
  )
}

/** With as many copies as have to agree, the first broker that goes away stops all writing. */
function inSyncFindings({
  topic,
  replicationFactor,
  inSync = replicationFactor,
  config
}: TopicDescription): readonly Finding[] {
  const least = Number(config['min.insync.replicas'] ?? 1)
  const topics = findingsOf('topics')
  if (replicationFactor > 1 && replicationFactor <= least) {
    const detail = `${replicationFactor} copies, and min.insync.replicas is ${least}: one broker less stops writing`
    return [topics.failure(topic, detail, 'a replication factor above min.insync.replicas: three and two')]
  }
  if (replicationFactor > 1 && least < 2) {
    const detail = `${replicationFactor} copies, but one may acknowledge alone (min.insync.replicas 1)`
    return [topics.failure(topic, detail, 'min.insync.replicas 2 in topics.yaml, then npx millrace topics ensure')]
  }
  if (inSync < least) {
    const detail = `${inSync} of ${replicationFactor} copies of a partition are in sync, ${least} have to be: nothing is taken`
    return [topics.failure(topic, detail, 'bring back the brokers that hold its copies')]
  }
  if (inSync < replicationFactor) {
    const detail = `${inSync} of ${replicationFactor} copies of a partition are in sync`
    return [topics.warning(topic, detail, 'a broker is away or far behind; one more, and nothing is taken')]
  }
  return []
}

/**
 * Retention of every topic against the age of the oldest record that some group still has to read, and partitions without a
 * leader. Throws PIPE_KAFKA_UNAVAILABLE.
 */
export async function checkRetention({ admin, lag }: TopicCheckDeps): Promise<readonly Finding[]> {
  const { rows, leaderless, unknown } = await lag()
  const retention = findingsOf('retention')
  const names = [...new Set(rows.map(({ topic }) => topic))]
  const keepMs = new Map(
    (await admin.describeTopics(names)).map(({ topic, config }) => [
      topic,
      Number(config['retention.ms'] ?? Number.NaN)
    ])
  )
  const worst = new Map<string, LagFact>()
  for (const row of rows) {
    const key = `${row.group} ${row.topic}`
    if (row.records > 0 && (row.seconds ?? 0) > (worst.get(key)?.seconds ?? -1)) worst.set(key, row)
  }
  const late = [...worst.values()].flatMap(({ group, topic, partition, seconds = 0 }) => {
    const keepSeconds = (keepMs.get(topic) ?? Number.NaN) / 1_000
    if (!(keepSeconds < seconds * retentionOverLag)) return []
    const detail = `${group} is ${hours(seconds)} behind in partition ${partition}, records are kept for ${hours(keepSeconds)}`
    return [
      retention.failure(
        topic,
        detail,
        `mend or add members of ${group} (docs/operations.md), or raise retention.ms now`
      )
    ]
  })
  return orOk(
    [
      ...late,
      ...leaderless.map(({ topic, partition }) =>
        retention.failure(`${topic}:${partition}`, 'no broker leads it', 'bring back the brokers that hold its copies')
      ),
      ...unknown.map(({ group, reason }) =>
        retention.warning(group, `how far it is could not be asked: ${reason}`, 'mend the store of its positions')
      )
    ],
    retention.ok('consumer groups', `the oldest record to read is ${hours(oldest(rows))} old`)
  )
}

function oldest(rows: readonly LagFact[]): number {
  return rows.reduce((most, { records, seconds = 0 }) => (records > 0 ? Math.max(most, seconds) : most), 0)
}

function hours(seconds: number): string {
  return seconds < 7_200 ? `${Math.round(seconds)} s` : `${(seconds / 3_600).toFixed(1)} h`
}
