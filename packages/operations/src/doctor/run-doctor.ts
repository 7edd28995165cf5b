// `millrace doctor`: looks at everything that has to be as it is for the promises to hold, changes nothing, and says for
// each thing that is not how to mend it.
import { AppError, toError } from '@millrace/kernel'
import { checkClocks } from './check-clocks.ts'
import type { ClockCheckDeps } from './check-clocks.ts'
import { checkClickhouse, checkConnections, checkPostgres, checkSchemas } from './check-databases.ts'
import type { DatabaseCheckDeps } from './check-databases.ts'
import { checkDisks } from './check-disks.ts'
import type { DiskCheckDeps } from './check-disks.ts'
import { checkRedis } from './check-redis.ts'
import type { AskedRedis } from './check-redis.ts'
import { checkSettings } from './check-settings.ts'
import type { KnownSettings } from './check-settings.ts'
import { checkRetention, checkTopics } from './check-topics.ts'
import type { TopicCheckDeps } from './check-topics.ts'
import { checkNames, findingsOf } from './finding.ts'
import type { CheckName, Finding } from './finding.ts'

export interface DoctorDeps extends TopicCheckDeps, DatabaseCheckDeps, DiskCheckDeps, ClockCheckDeps {
  readonly admin: TopicCheckDeps['admin'] & ClockCheckDeps['admin']
  readonly clickhouse: DatabaseCheckDeps['clickhouse']
  readonly redis: readonly AskedRedis[]
  readonly settings: KnownSettings
}

export interface Examination {
  /** No failure; there may be warnings. */
  readonly healthy: boolean
  readonly findings: readonly Finding[]
}

/**
 * Runs every examination of `only`, one after the other, so that it loads nothing. What cannot be asked is a failure by
 * itself, and the others go on. Never rejects for what it examines.
 */
export async function runDoctor(deps: DoctorDeps, only: readonly CheckName[] = checkNames): Promise<Examination> {
  const findings: Finding[] = []
  for (const name of checkNames) {
    if (!only.includes(name)) continue
    try {
      findings.push(...(await examinations[name](deps)))
    } catch (error) {
      findings.push(notAsked(name, toError(error)))
    }
  }
  return { healthy: findings.every(({ status }) => status !== 'failure'), findings }
}

const examinations: Readonly<Record<CheckName, (deps: DoctorDeps) => Promise<readonly Finding[]>>> = {
  topics: checkTopics,
  retention: checkRetention,
  redis: ({ redis }) => checkRedis(redis),
  postgres: checkPostgres,
  clickhouse: checkClickhouse,
  schemas: checkSchemas,
  clocks: checkClocks,
  connections: checkConnections,
  disks: checkDisks,
  settings: async ({ settings }) => checkSettings(settings)
}

function notAsked(name: CheckName, error: Error): Finding {
  const code = error instanceof AppError ? `${error.code}: ` : ''
  const fix = 'is it up, and can this machine reach it? docs/operations.md, a store is down'
  return findingsOf(name).failure('could not be asked', `${code}${error.message}`, fix)
}
