// The parts of a stack, in the order in which they stop: what uses others' data first, the log last.
import { createClickhousePart } from './clickhouse-part.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { createKafkaParts } from './kafka-part.ts'
import type { Part } from './part.ts'
import type { Ports } from './ports.ts'
import { createPostgresPart } from './postgres-part.ts'
import { createRedisPart } from './redis-part.ts'
import type { StackSecrets } from './secrets.ts'

/** What a part is made from. */
export interface PartContext {
  readonly dataDir: string
  readonly ports: Ports
  readonly secrets: StackSecrets
  readonly kafka: KafkaCluster
  /** Told of slow steps, one line each. */
  readonly log: (line: string) => void
}

/** All parts, in stopping order. */
export function createParts(context: PartContext): readonly Part[] {
  return [
    createClickhousePart(context),
    createRedisPart('cache', context),
    createRedisPart('state', context),
    createRedisPart('dedup', context),
    createPostgresPart(context),
    ...createKafkaParts(context)
  ]
}
