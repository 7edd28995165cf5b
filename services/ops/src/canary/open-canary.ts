// The canary of a deployment, with a project of its own: the way is the real one, and nobody's counts have it in them.
import { randomUUID } from 'node:crypto'
import type { ConfigOf } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { Logger, Registry } from '@millrace/observability'
import { createKey, listKeys, revokeKey } from '@millrace/operations/keys'
import { createProject } from '@millrace/operations/projects'
import type { ProjectAdmin } from '@millrace/operations/projects'
import { canaryMetrics } from '../metrics.ts'
import { keepSendingCanaries } from './canary.ts'
import type { canaryFields } from './fields.ts'
import { createSendCanary } from './send-canary.ts'
import type { CanaryKeys } from './send-canary.ts'

/** The project of canary events. */
export const canaryProject = 'millrace-canary'

export interface OpenCanaryDeps {
  readonly config: ConfigOf<typeof canaryFields>
  readonly projects: ProjectAdmin
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Starts the canary when it knows where to go; resolves after the signal aborted. */
export async function openCanary({ config, projects, log, registry, clock, signal }: OpenCanaryDeps): Promise<void> {
  const { GATEWAY_URL: gatewayUrl, QUERY_URL: queryUrl, REALTIME_URL: realtimeUrl } = config
  if ([gatewayUrl, queryUrl, realtimeUrl].includes('')) {
    await clock.sleep(2 ** 31 - 1, signal).catch(() => {})
    return
  }
  let keys: Promise<CanaryKeys> | undefined
  const keysOf = (renewed: boolean): Promise<CanaryKeys> => {
    if (renewed || keys === undefined) {
      keys = makeKeys(projects)
      keys.catch(() => (keys = undefined))
    }
    return keys
  }
  await keepSendingCanaries({
    send: createSendCanary({ gatewayUrl, queryUrl, realtimeUrl, keys: keysOf, clock }),
    newId: () => `canary-${randomUUID()}`,
    metrics: bindMetrics(canaryMetrics, registry),
    log,
    clock,
    signal,
    everyMs: config.CANARY_EVERY_MS,
    timeoutMs: config.CANARY_TIMEOUT_MS
  })
}

/** Secrets are shown once, so each start makes its own keys; those of before are revoked. */
async function makeKeys(projects: ProjectAdmin): Promise<CanaryKeys> {
  try {
    return await createProject(projects, { projectId: canaryProject, name: 'Canary events of Millrace' })
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PIPE_CONFLICT') throw error
  }
  await projects.ensureTopics(canaryProject)
  const before = await listKeys(projects.postgres, canaryProject)
  const write = await createKey(projects, { projectId: canaryProject, kind: 'write' })
  const secret = await createKey(projects, { projectId: canaryProject, kind: 'secret' })
  for (const { keyId, revokedAt } of before) if (revokedAt === null) await revokeKey(projects, keyId)
  return { writeKey: write.key, secretKey: secret.key }
}
