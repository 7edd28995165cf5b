// Deduplication and the log as a request's events meet them: arrays in, arrays out.
import type { Publisher } from '@millrace/kafka'
import type { Dedup, Hold } from './dedup.ts'

export type { Hold } from './dedup.ts'

/** When an event first came. Times are ISO 8601 texts. */
export interface Receipt {
  readonly receivedAt: string
  readonly sentAt?: string | undefined
}

export interface DedupItem {
  readonly eventId: string
  /** Set when the time of the event depends on its receipt: the first one is kept and given back to a repeat. */
  readonly receipt?: Receipt
}

export type EventAdmission =
  | { readonly kind: 'admitted'; readonly hold: Hold; readonly receipt?: Receipt | undefined }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'busy' }

/** Decides which events of a request are new. No call rejects. */
export interface EventDedup {
  admitAll(project: string, generation: number, items: readonly DedupItem[]): Promise<readonly EventAdmission[]>
  commitAll(holds: readonly Hold[]): Promise<void>
  releaseAll(holds: readonly Hold[]): Promise<void>
}

/** The log as a request's events meet it. */
export type EventLog = Pick<Publisher, 'publishAll' | 'retryAfterMs'>

/** The array form of a deduplication that takes one event a time. */
export function toEventDedup(dedup: Pick<Dedup, 'admit'>): EventDedup {
  return {
    admitAll: (project, _generation, items) => Promise.all(items.map(({ eventId }) => dedup.admit(project, eventId))),
    commitAll: async (holds) => void (await Promise.all(holds.map((hold) => hold.commit()))),
    releaseAll: async (holds) => void (await Promise.all(holds.map((hold) => hold.release())))
  }
}
