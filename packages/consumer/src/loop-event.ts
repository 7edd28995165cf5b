// Everything that can happen to a consumer.
import type { Commit, GroupMember, RecordBatch, TopicPartition } from '@millrace/kafka'
import type { Flush } from './flush.ts'
import type { StepResult } from './steps.ts'

export type LoopEvent<Item> =
  /** The member to steer. Batches are cut only from then on. */
  | { readonly kind: 'attached'; readonly member: GroupMember }
  /** A new assignment is coming: what is held is lost. */
  | { readonly kind: 'void' }
  | {
      readonly kind: 'assigned'
      readonly partitions: readonly TopicPartition[]
      readonly positions: ReadonlyMap<string, bigint>
    }
  | { readonly kind: 'revoking'; readonly resolve: () => void }
  | { readonly kind: 'drainOver' }
  | { readonly kind: 'batch'; readonly batch: RecordBatch }
  | {
      readonly kind: 'outOfRange'
      readonly partition: TopicPartition
      readonly requested: bigint
      readonly logStart: bigint
    }
  /** The sink says where to read on, outside of a batch. */
  | { readonly kind: 'rewind'; readonly to: readonly Commit[] }
  | { readonly kind: 'stepped'; readonly flush: Flush<Item>; readonly result: StepResult }
  /** The backoff of a batch is over. */
  | { readonly kind: 'waited'; readonly flush: Flush<Item> }
  /** Somebody looked at why the consumer stopped. */
  | { readonly kind: 'resume' }
  | { readonly kind: 'failure'; readonly error: unknown }
  /** A buffer is due by age. */
  | { readonly kind: 'wake' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'stopOver' }
  | { readonly kind: 'graceOver' }
  | { readonly kind: 'left' }
