// A Kafka client for tests, on the test stack or on any other.
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import type { Kafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from './endpoints.ts'

/** Opens Kafka at `endpoints` (default: the test stack), without a log. */
export async function openTestKafka(endpoints: Readonly<Record<string, string>> = testEndpoints()): Promise<Kafka> {
  return await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger(), clientId: 'test' })
}
