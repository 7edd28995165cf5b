// Makes clients of the library with the settings that every use of it shares. The consumer of a group gets a client of
// its own, because the library keeps committed offsets per client and group, shared between members.
import kafkajs from 'kafkajs'
import type { Kafka as KafkaJS, KafkaConfig, RetryOptions, SASLOptions } from 'kafkajs'
import type { ConfigOf, kafkaFields } from '@millrace/config'
import type { Logger } from '@millrace/observability'
import { installCodecs } from './codecs.ts'
import { chooseEncoding } from './kafkajs-encoding.ts'
import { installEnds } from './kafkajs-ends.ts'
import { createKafkaLog } from './kafkajs-log.ts'
import { installMetadataBehind } from './kafkajs-metadata.ts'

export type KafkaSettings = ConfigOf<typeof kafkaFields>

export interface ClientOptions {
  readonly settings: KafkaSettings
  readonly clientId: string
  readonly log: Logger
}

/** Attempts of the library itself, for connections and metadata; what may store a record is never repeated by it. */
const clientRetry: RetryOptions = { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000 }

/** A client of the library; it connects nothing by itself. */
export function createClient({ settings, clientId, log }: ClientOptions): KafkaJS {
  installCodecs()
  installMetadataBehind()
  installEnds()
  chooseEncoding(settings.KAFKA_FAST_ENCODING, log)
  const sasl = saslOf(settings)
  const config: KafkaConfig = {
    brokers: [...settings.KAFKA_BROKERS],
    clientId,
    ssl: settings.KAFKA_SSL,
    connectionTimeout: 3_000,
    requestTimeout: 15_000,
    retry: clientRetry,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: createKafkaLog(log)
  }
  return new kafkajs.Kafka(sasl === undefined ? config : { ...config, sasl })
}

function saslOf(settings: KafkaSettings): SASLOptions | undefined {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = settings
  return mechanism === 'none' ? undefined : { mechanism, username, password }
}
