// Which Kafka cluster a data folder holds: its id, which all brokers share, and how many they are. Decided once; the
// copies of what is in it and the votes of its controllers do not follow another number.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { AppError } from '@millrace/kernel'
import { layout } from './layout.ts'
import { exists } from './partial.ts'
import type { BrokerCount } from './part.ts'
import { hasFields, readState, writeState } from './state-file.ts'

/** The cluster of a stack. */
export interface KafkaCluster {
  readonly clusterId: string
  readonly brokers: number
  /** Ports that brokers tell to clients and to each other instead of their own: proxies of a test. */
  readonly advertisedPorts?: readonly number[] | undefined
}

/**
 * The cluster of a data folder, made on the first call with `brokers` of them (default 1). Throws PIPE_STACK when the
 * folder holds one of another size.
 */
export async function ensureKafkaCluster(dataDir: string, brokers?: BrokerCount): Promise<KafkaCluster> {
  const file = layout.kafkaCluster(dataDir)
  const single = await exists(join(layout.part(dataDir, 'kafka'), 'data'))
  const known = readState(file, isCluster) ?? (single ? { clusterId: newClusterId(), brokers: 1 } : undefined)
  if (known === undefined) {
    const made = { clusterId: newClusterId(), brokers: brokers ?? 1 }
    await writeState(file, made)
    return made
  }
  if (brokers === undefined || brokers === known.brokers) return { clusterId: known.clusterId, brokers: known.brokers }
  throw new AppError(
    'PIPE_STACK',
    `the stack in ${dataDir} was made with ${known.brokers} broker(s), not ${brokers}: wipe it, or use another data folder`
  )
}

function isCluster(value: unknown): value is { clusterId: string; brokers: number } {
  return hasFields(value, { clusterId: 'string', brokers: 'number' })
}

/** 16 random bytes the way Kafka writes a UUID. Ids that begin with a dash are refused by its command line. */
function newClusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? newClusterId() : id
}
