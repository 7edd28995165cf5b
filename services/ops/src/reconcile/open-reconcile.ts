// The comparison of log and sinks over the stores of a deployment. Wiring only.
import { createWindowReader } from '@millrace/aggregation/window-reader'
import type { ConfigOf } from '@millrace/config'
import type { Admin, Kafka } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { Logger, Registry } from '@millrace/observability'
import { listProjects } from '@millrace/operations/projects'
import { reconcile } from '@millrace/operations/reconcile'
import { removeLeftSpools } from '@millrace/operations/reconcile-spool'
import { saveReconciliations } from '@millrace/operations/reconciliations'
import { keptFromOf } from '@millrace/operations/warehouse-retention'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Postgres } from '@millrace/stores/postgres'
import type { Redis } from '@millrace/stores/redis'
import { reconcileMetrics } from '../metrics.ts'
import { reconcileFolder } from './fields.ts'
import type { reconcileFields } from './fields.ts'
import { createMarkStore } from './marks.ts'
import { startReconcileJob } from './reconcile-job.ts'

export interface OpenReconcileDeps {
  readonly config: ConfigOf<typeof reconcileFields> & {
    readonly LOADER_GROUP: string
    readonly AGGREGATOR_GROUP: string
  }
  readonly kafka: Pick<Kafka, 'consumers'>
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  readonly postgres: Postgres
  readonly clickhouse: Clickhouse
  /** The Redis of the live state. */
  readonly redis: Redis
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Dead letters and records that are no events, of one project; some 30 MB. */
const maxHeld = 200_000

/** Starts the comparison; what it resolves with tells when that has stopped. */
export async function openReconcile(deps: OpenReconcileDeps): Promise<{ readonly done: Promise<void> }> {
  const { config, kafka, admin, postgres, clickhouse, redis, log, registry, clock, signal } = deps
  const windows = { reader: createWindowReader(redis), clock, latenessMs: config.LATENESS_MS }
  const groups = {
    loadGroup: config.LOADER_GROUP,
    processGroup: config.PROCESSOR_GROUP,
    aggregateGroup: config.AGGREGATOR_GROUP
  }
  const folder = reconcileFolder(config.RECONCILE_DIR)
  await removeLeftSpools(folder)
  const limits = { folder, maxBytes: config.RECONCILE_DISK_BYTES, maxHeld }
  const keptFrom = async (projectId: string): Promise<number> => (await keptFromOf(postgres, clock))(projectId)
  const compare = { admin, log: { client: kafka.consumers, clock }, clickhouse, windows, keptFrom, limits }
  const done = startReconcileJob({
    listProjects: async () => (await listProjects(postgres)).map(({ projectId }) => projectId),
    reconcile: (request) => reconcile(compare, { ...request, ...groups }),
    marks: createMarkStore(redis),
    save: (found) => saveReconciliations(postgres, found),
    metrics: bindMetrics(reconcileMetrics, registry),
    log,
    clock,
    signal,
    everyMs: config.RECONCILE_EVERY_MS,
    rangeMs: config.RECONCILE_RANGE_MS
  })
  return { done }
}
