// The tasks beside the records, put together. Wiring only.
import { randomUUID } from 'node:crypto'
import type { BatchApplier } from '@millrace/aggregation/apply-batch'
import { createReadUniques } from '@millrace/aggregation/day-uniques'
import { kindOfMetric, sessionMetrics } from '@millrace/aggregation/metric-messages'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisClose } from '@millrace/aggregation/redis-close'
import { createRedisEmit } from '@millrace/aggregation/redis-emit'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { Timing } from '@millrace/aggregation/timing'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import type { WindowValue } from '@millrace/aggregation/window-value'
import type { Consumer } from '@millrace/consumer'
import { metricsTopic } from '@millrace/contracts'
import type { TopicDeclaration } from '@millrace/contracts'
import type { Admin, Producer } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Queryable } from '@millrace/stores/postgres'
import type { Redis } from '@millrace/stores/redis'
import type { ChangedValues } from './changed-values.ts'
import { createClocks } from './clocks.ts'
import { createDayQueue } from './day-queue.ts'
import { daysOf, writeWaitingDays } from './days.ts'
import type { AggregatorConfig } from './config.ts'
import { createIsDue } from './due.ts'
import { emitProject } from './emission.ts'
import { createEmittedTopics } from './emitted-topics.ts'
import { readGauges } from './gauges.ts'
import type { LiveProject, LiveProjects } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'
import { createPaced } from './pace.ts'
import { withPlantedEmit, withPlantedTasks } from './planted.ts'
import type { Tasks } from './run-tasks.ts'
import { watchProject } from './watch.ts'

export interface TasksDeps {
  readonly planted: ReadonlySet<string>
  readonly faults: { at(label: string): void | Promise<void> }
  readonly config: AggregatorConfig
  readonly redis: Redis
  readonly postgres: Queryable
  readonly admin: Pick<Admin, 'brokerCount' | 'createTopics' | 'describeTopics' | 'ranges'>
  readonly producer: Pick<Producer, 'produce' | 'partitionCount'>
  readonly declaration: TopicDeclaration
  /** Undefined for the metrics that sessions make. */
  readonly definitionOf: (project: string, metric: string, startMs: number) => MetricDefinition | undefined
  readonly projects: LiveProjects
  readonly consumer: Pick<Consumer, 'rewind'>
  readonly applier: Pick<BatchApplier, 'forget'>
  readonly changed: ChangedValues
  readonly timing: Timing
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
}

/** The tasks of one process. */
export function createTasks(deps: TasksDeps): Tasks {
  const { config, redis, admin, producer, declaration, projects, consumer, changed, clock, metrics } = deps
  const epochs = createRedisEpochs(redis)
  const topics = createEmittedTopics({ admin, producer, declaration, profile: config.TOPIC_PROFILE })
  const days = {
    queue: createDayQueue(redis),
    reader: createWindowReader(redis),
    readUniques: createReadUniques(redis),
    definitionOf: deps.definitionOf,
    postgres: deps.postgres
  }
  const emission = {
    emit: withPlantedEmit(createRedisEmit(redis), redis, deps.planted),
    topics,
    changed,
    kindOf: (project: string, metric: string, startMs: number) => {
      const definition = deps.definitionOf(project, metric, startMs)
      return definition === undefined && !sessionMetrics.includes(metric) ? undefined : kindOfMetric(definition)
    },
    faults: deps.faults,
    metrics,
    onFinal: (live: LiveProject, windows: readonly WindowValue[]) => days.queue.add(live.project, daysOf(windows))
  }
  const tasks: Tasks = {
    watch: (live) => watchProject({ projects, consumer, forget: deps.applier.forget, metrics }, live),
    clocks: createClocks({
      admin,
      apply: createRedisApply(redis),
      close: createRedisClose(redis, deps.timing),
      isDue: createIsDue(redis, deps.timing),
      callId: randomUUID,
      clock,
      metrics,
      faults: deps.faults,
      marginMs: config.CLOCK_MARGIN_MS,
      replicaLagMs: config.REPLICA_LAG_MS,
      countEveryMs: config.CHECK_EVERY_MS
    }),
    emit: createPaced({
      clock,
      everyMs: config.EMIT_EVERY_MS,
      longestMs: config.EMIT_EVERY_MS * 4,
      work: (live) => emitProject(emission, live)
    }),
    days: (live) => writeWaitingDays(days, live),
    prepare: async () => {
      for (const { name } of builtInMetrics([])) await topics.ensure(metricsTopic(name))
      for (const name of sessionMetrics) await topics.ensure(metricsTopic(name))
    },
    gauges: () => readGauges({ epochs, clock, metrics }, projects.all())
  }
  return withPlantedTasks(tasks, deps.planted)
}

/** How often each of them runs, in milliseconds. */
export function taskIntervals({
  CHECK_EVERY_MS,
  CLOCK_EVERY_MS,
  EMIT_EVERY_MS
}: AggregatorConfig): Record<Exclude<keyof Tasks, 'prepare'>, number> {
  return { watch: CHECK_EVERY_MS, clocks: CLOCK_EVERY_MS, emit: EMIT_EVERY_MS, days: CHECK_EVERY_MS, gauges: 10_000 }
}
