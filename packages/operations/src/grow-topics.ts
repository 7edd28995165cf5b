// Gives a project more partitions while events come in. Each step can be repeated, so a procedure that was cut off goes on where
// it was; to go back is not possible. What it rests on: the processor writes an event under its raw partition number, so
// the processed topic is there first; a new partition is read from its start, so no group misses a record of it; and an
// aggregator closes windows by the number of partitions that it asked for after their end (services/aggregator/src/clocks.ts).
import { readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseTopicDeclaration, processedTopic, rawTopic, withGrown } from '@millrace/contracts'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Admin, LogSampler } from '@millrace/kafka'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { readGroupPrefix } from './read-log.ts'
import { topicsFile } from './topics.ts'

export interface GrowDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'describeTopics' | 'growPartitions'>
  readonly sampler: Pick<LogSampler, 'holders'>
  readonly postgres: Postgres
  readonly actor: string
  readonly clock: Clock
  /** Told before each step. */
  readonly say: (line: string) => void
  /** topics.yaml; the repository's by default. */
  readonly file?: URL | string
  /** Longest wait for groups to hold the new partitions of one topic. */
  readonly waitMs?: number
}

export interface GrowPlan {
  readonly projectId: string
  readonly partitions: number
  /** Present numbers. */
  readonly raw: number
  readonly processed: number
  readonly declared: number | undefined
  /** In the order in which they are made; empty: nothing is to be done. */
  readonly steps: readonly ('declare' | 'grow processed' | 'grow raw')[]
}

/** More than any broker of ours should lead for one project. */
const mostPartitions = 1_000
const askEveryMs = 500

/**
 * What growing to `partitions` would do. Throws PIPE_INVALID_INPUT for fewer than there are or too many, PIPE_NOT_FOUND
 * for a project without topics.
 */
export async function planGrowth(
  { admin, file = topicsFile }: Pick<GrowDeps, 'admin' | 'file'>,
  projectId: string,
  partitions: number
): Promise<GrowPlan> {
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions)
    throw new AppError('PIPE_INVALID_INPUT', `partitions is a whole number from 1 to ${mostPartitions}`)
  const names = [rawTopic(projectId), processedTopic(projectId)]
  const existing = new Set(await admin.listTopics())
  const missing = names.find((name) => !existing.has(name))
  if (missing !== undefined)
    throw new AppError('PIPE_NOT_FOUND', `there is no topic ${missing}; \`millrace topics ensure\` creates it`)
  const described = await admin.describeTopics(names)
  const countOf = (name: string): number => described.find(({ topic }) => topic === name)?.partitions ?? 0
  const [raw, processed] = names.map(countOf) as [number, number]
  if (partitions < raw)
    throw new AppError('PIPE_INVALID_INPUT', `${rawTopic(projectId)} has ${raw} partitions; they only grow`)
  const declared = parseTopicDeclaration(await readFile(file, 'utf8')).grown[projectId]
  return {
    projectId,
    partitions,
    raw,
    processed,
    declared,
    steps: [
      ...(declared === partitions ? [] : (['declare'] as const)),
      ...(processed < partitions ? (['grow processed'] as const) : []),
      ...(raw < partitions ? (['grow raw'] as const) : [])
    ]
  }
}

/**
 * Grows both topics of a project and waits until the groups that read them hold the new partitions. Throws what
 * `planGrowth` throws, PIPE_CONFIG_INVALID when topics.yaml cannot be written (nothing has changed then), and PIPE_DEADLINE
 * naming the groups that do not follow: repeat it then, it goes on.
 */
export async function growTopics(deps: GrowDeps, projectId: string, partitions: number): Promise<GrowPlan> {
  const { admin, postgres, actor, say, file = topicsFile } = deps
  const plan = await planGrowth(deps, projectId, partitions)
  const [raw, processed] = [rawTopic(projectId), processedTopic(projectId)]
  if (plan.steps.includes('declare')) {
    say(`declaring ${partitions} partitions of ${projectId} in topics.yaml`)
    await declare(file, projectId, partitions)
  }
  if (plan.steps.length > 0)
    await postgres.transaction((tx) =>
      writeAudit(tx, {
        actor,
        action: 'topics.grow',
        projectId,
        subject: raw,
        before: { raw: plan.raw, processed: plan.processed, declared: plan.declared ?? null },
        after: { raw: partitions, processed: Math.max(partitions, plan.processed), declared: partitions }
      })
    )
  if (plan.processed < partitions) {
    say(`growing ${processed} from ${plan.processed} to ${partitions} partitions`)
    await admin.growPartitions(processed, partitions)
  }
  await served(deps, processed, partitions)
  if (plan.raw < partitions) {
    say(`growing ${raw} from ${plan.raw} to ${partitions} partitions`)
    await admin.growPartitions(raw, partitions)
  }
  await served(deps, raw, partitions)
  return plan
}

/** Whoever reads the file meanwhile sees the one or the other. */
async function declare(file: URL | string, projectId: string, partitions: number): Promise<void> {
  const path = typeof file === 'string' ? file : fileURLToPath(file)
  const text = withGrown(await readFile(path, 'utf8'), projectId, partitions)
  parseTopicDeclaration(text)
  try {
    await writeFile(`${path}.new`, text)
    await rename(`${path}.new`, path)
  } catch (error) {
    const advice = `add \`grown: { ${projectId}: ${partitions} }\` to it where it comes from, and repeat this`
    throw new AppError('PIPE_CONFIG_INVALID', `topics.yaml cannot be written (${toError(error).message}); ${advice}`, {
      cause: error
    })
  }
}

/** Resolves when every group that reads `topic` holds all of its partitions; who only looks at the log is no such group. */
async function served(
  { sampler, clock, say, waitMs = 120_000 }: GrowDeps,
  topic: string,
  partitions: number
): Promise<void> {
  const startedMs = clock.monotonic()
  for (let told = false; ; told = true) {
    const behind = [...(await sampler.holders(topic))].filter(
      ([group, held]) => held.size < partitions && !group.startsWith(readGroupPrefix)
    )
    if (behind.length === 0) return
    const names = behind.map(([group, held]) => `${group} (${held.size})`).join(', ')
    if (!told) say(`waiting for the groups of ${topic} to take ${partitions} partitions: ${names}`)
    if (clock.monotonic() - startedMs >= waitMs)
      throw new AppError('PIPE_DEADLINE', `after ${waitMs / 1_000} s not all partitions of ${topic} are held: ${names}`)
    await clock.sleep(askEveryMs)
  }
}
