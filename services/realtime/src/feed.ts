// What a channel carries. A feed keeps its state and says when it changed; when and to whom that is sent is the hub's work.

/** Where a feed reports. */
export interface FeedEvents {
  /** There are changes to take. */
  changed(): void
  /** What was sent before holds no longer: everybody needs a snapshot. */
  replaced(): void
  /** Whether the values may be old because a store or the log is away. */
  stale(isStale: boolean): void
}

/** State that is watched by somebody. Disposing it ends what feeds it. */
export interface Feed extends Disposable {
  /** Everything as a JSON array; undefined while it is not known yet. */
  snapshot(): string | undefined
  /** What changed since the last call as a JSON array, and members that belong to it; undefined: nothing. */
  takeChanges(): string | undefined
}

/** A feed that is not open yet; two of one key are the same. */
export interface FeedRequest {
  readonly key: string
  readonly open: (events: FeedEvents) => Feed
}
