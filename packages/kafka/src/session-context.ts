// What the parts of one group session share: which epoch the group knows, which one the handlers know, and the end.
import type { Consumer } from 'kafkajs'
import { backoffMs } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { GroupEpoch } from './group-epoch.ts'
import type { GroupOffsets, LogView } from './group-offsets.ts'
import { classifyKafka } from './kafkajs-errors.ts'
import type { GroupHandlers, GroupOptions, TopicPartition } from './port.ts'
import type { Serial } from './serial.ts'

export interface SessionContext {
  readonly options: GroupOptions
  readonly handlers: GroupHandlers
  /** The member's queue of handler calls; outlives the session. */
  readonly calls: Serial
  readonly clock: Clock
  readonly log: Logger
  readonly fetcher: Pick<Consumer, 'pause' | 'resume' | 'seek'>
  readonly offsets: GroupOffsets
  readonly state: SessionState
  /** Ends the session: a handler threw, or there is a bug. */
  readonly fail: (error: unknown) => void
}

export interface SessionState {
  /** The assignment of the last join; undefined before the first one and after the end. */
  current: GroupEpoch | undefined
  /** The assignment that the handlers were told last. */
  delivered: GroupEpoch | undefined
  closed: boolean
}

const readPolicy = { baseMs: 100, capMs: 2_000, jitter: 0.2 }

/** What the cluster knows of `partitions`; tries until it answers or the epoch is over, and is undefined then. */
export async function readViews(
  context: SessionContext,
  epoch: GroupEpoch,
  partitions: readonly TopicPartition[]
): Promise<ReadonlyMap<string, LogView> | undefined> {
  const { state, offsets, options, clock, log } = context
  for (let attempt = 1; state.current === epoch && !state.closed; attempt++) {
    try {
      return await offsets.read(partitions)
    } catch (error) {
      const { kind, code } = classifyKafka(error)
      if (kind === 'fatal') throw error
      log.debug({ group: options.groupId, code }, 'reading offsets failed, trying again')
      await clock.sleep(backoffMs(readPolicy, attempt))
    }
  }
  return undefined
}

/** Fetching of `partition` goes on at `offset`. */
export function moveTo({ fetcher }: SessionContext, epoch: GroupEpoch, at: TopicPartition, offset: bigint): void {
  epoch.move(at, offset)
  fetcher.seek({ topic: at.topic, partition: at.partition, offset: String(offset) })
}

/** Tells the handlers that `asked` is not in the log and that fetching goes on at `logStart`. */
export function reportOutOfRange(
  { state, handlers, calls, log, fail }: SessionContext,
  epoch: GroupEpoch,
  at: TopicPartition,
  asked: bigint,
  logStart: bigint
): void {
  log.warn({ ...at, requested: String(asked), logStart: String(logStart) }, 'position is out of the log')
  calls.run(() => (state.current === epoch ? handlers.onOutOfRange(at, asked, logStart) : undefined)).catch(fail)
}
