// For callers that need every record stored before they go on.
import { AppError } from '@millrace/kernel'
import type { ProduceOutcome } from './port.ts'

/** Throws PIPE_KAFKA_UNKNOWN_OUTCOME or PIPE_KAFKA_REFUSED for the first record of `outcomes` that is not acked. */
export function assertAcked(outcomes: readonly ProduceOutcome[], topic: string): void {
  for (const outcome of outcomes) {
    if (outcome.kind === 'acked') continue
    if (outcome.kind === 'unknown')
      throw new AppError('PIPE_KAFKA_UNKNOWN_OUTCOME', `producing to ${topic}: ${outcome.message}`)
    throw new AppError('PIPE_KAFKA_REFUSED', `producing to ${topic}: ${outcome.message}`, {
      details: { kafka: outcome.code }
    })
  }
}
