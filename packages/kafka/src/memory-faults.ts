// What goes wrong in the in-process cluster. A test sets and clears the hooks; a hook may wait before it answers.
import type { Commit, ProduceRecord } from './port.ts'

type MaybePromise<T> = T | Promise<T>

/** `lost`: not stored, outcome unknown. `reply-lost`: stored, outcome unknown. `refused`: a definite error. */
export type ProduceFault = 'lost' | 'reply-lost' | 'refused'

/** `unavailable`: not committed, throws. `reply-lost`: committed, throws. */
export type CommitFault = 'unavailable' | 'reply-lost'

export interface MemoryFaults {
  produce?: (topic: string, records: readonly ProduceRecord[]) => MaybePromise<ProduceFault | undefined>
  commit?: (groupId: string, commits: readonly Commit[]) => MaybePromise<CommitFault | undefined>
}
