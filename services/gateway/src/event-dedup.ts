// Deduplication and the log as a request's events meet them: arrays in, arrays out.
import type { Publisher } from '@millrace/kafka'
import type { DedupSlot } from '@millrace/stores/dedup-lease'

/** The right to publish one event, and the duty to say what became of it. */
export interface Hold {
  /** False when Redis could not say whether the event is new. */
  readonly checked: boolean
  readonly slot: DedupSlot
  /** Undefined without a lease. */
  readonly token: string | undefined
}

/** When an event first came. Times are ISO 8601 texts. */
export interface Receipt {
  readonly receivedAt: string
  readonly sentAt?: string | undefined
}

export interface DedupItem {
  readonly eventId: string
  /** Set when the time of the event depends on its receipt: the first one is kept, and given back to any repeat. */
  readonly receipt?: Receipt
}

export type EventAdmission =
  | { readonly kind: 'admitted'; readonly hold: Hold; readonly receipt?: Receipt | undefined }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'busy' }

/** Decides which events of a request are new. No call rejects. */
export interface EventDedup {
  admitAll(project: string, generation: number, items: readonly DedupItem[]): Promise<readonly EventAdmission[]>
  /** The log acknowledged these events. Resolves when the marks are set, or have waited long enough. */
  commitAll(holds: readonly Hold[]): Promise<void>
  /** These events are certainly not in the log, and this attempt is over. */
  releaseAll(holds: readonly Hold[]): Promise<void>
}

/** The log as a request's events meet it. */
export type EventLog = Pick<Publisher, 'publishAll' | 'retryAfterMs'>
