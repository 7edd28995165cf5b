// The events of one request: one promise for all their outcomes.
import type { OutgoingEvent, PublishOutcome } from './publisher.ts'

/** Collects the outcomes of a request; `done` is called once, with all of them in order. */
export interface PublishRequest {
  readonly outcomes: PublishOutcome[]
  left: number
  readonly done: (outcomes: readonly PublishOutcome[]) => void
}

/** One event on its way. Its bytes count until it is settled, even when it has been answered before. */
export interface Entry {
  readonly event: OutgoingEvent
  readonly bytes: number
  /** When it came, in monotonic milliseconds. */
  readonly atMs: number
  readonly request: PublishRequest
  readonly index: number
  /** waiting -> (answered ->) settled; `answered` only when the producer is late. */
  state: 'waiting' | 'answered' | 'settled'
}

/** Tells the request what became of the entry; only the first answer counts. */
export function answer(entry: Entry, outcome: PublishOutcome): void {
  if (entry.state !== 'waiting') return
  entry.state = 'answered'
  const { request, index } = entry
  request.outcomes[index] = outcome
  if (--request.left === 0) request.done(request.outcomes)
}
