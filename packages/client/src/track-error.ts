// What can become of an event besides being stored. The reasons are a closed set, so an application can count them.

/** Why the client gives an event up. */
export const dropReasons = [
  /** The queue is at its bound; the new event is the one that is not taken. */
  'queue_full',
  /** The event alone is larger than the gateway takes. */
  'too_large',
  /** The event is not JSON: a cycle, a BigInt. */
  'invalid',
  /** The gateway refused it (4xx); `code` and `pointer` say why. A repeat would be refused too. */
  'rejected',
  /** The gateway was away or busy at every attempt. The event may be stored all the same. */
  'retries_exhausted',
  /** The client was closed before the event was known to be stored. The event may be stored all the same. */
  'closed',
  /** Saved events that cannot be read any more. How many they were is not known. */
  'corrupt_storage'
] as const

export type DropReason = (typeof dropReasons)[number]

/** `kept`: the client was closed, and the event waits in storage for the next one. It is not dropped. */
export type FailureReason = DropReason | 'kept'

/** What is known beside the reason. */
export interface FailureDetails {
  readonly eventId?: string | undefined
  /** Code of the gateway's problem, or `network`, `timeout`, `http_<status>`, `unexpected_reply`. */
  readonly code?: string | undefined
  /** Where the event is wrong: an RFC 6901 pointer into it. */
  readonly pointer?: string | undefined
}

/** An event that is not known to be stored: what `track` rejects with and `onDrop` is told. */
export class TrackError extends Error {
  override readonly name = 'TrackError'
  readonly reason: FailureReason
  readonly eventId: string | undefined
  readonly code: string | undefined
  readonly pointer: string | undefined

  constructor(reason: FailureReason, { eventId, code, pointer }: FailureDetails = {}) {
    super(
      `event ${eventId ?? 'from storage'} is not known to be stored: ${reason}${code === undefined ? '' : ` (${code})`}`
    )
    this.reason = reason
    this.eventId = eventId
    this.code = code
    this.pointer = pointer
  }
}

/** An event that is stored on all in-sync replicas: now, or by an earlier attempt. */
export interface Receipt {
  readonly eventId: string
  readonly status: 'accepted' | 'duplicate'
}
