// Reads a produce reply one topic-partition at a time. A send that "succeeded" proves nothing: when a leader dies during
// a request that spans two, the client may resolve without the partition that was lost.
import { classifyCode } from './kafkajs-errors.ts'

/** One line of a reply as the wire has it. */
export interface ReplyLine {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset?: string | undefined
  readonly logAppendTime?: string | undefined
}

/** What the reply says about the records sent to one partition. */
export type PartitionReply =
  | { readonly kind: 'acked'; readonly baseOffset: bigint; readonly appendedAtMs: number }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'retry'; readonly code: string; readonly maybeStored: boolean }
  | { readonly kind: 'unknown'; readonly message: string }

/**
 * The reply for `topic` and `partition`. `sentAtMs` is the append time where the topic keeps the producer's time.
 * Missing, doubled or without an offset means unknown.
 */
export function readReply(
  lines: readonly ReplyLine[],
  topic: string,
  partition: number,
  sentAtMs: number
): PartitionReply {
  const own = lines.filter((line) => line.topicName === topic && line.partition === partition)
  const [line] = own
  if (line === undefined || own.length > 1) {
    return { kind: 'unknown', message: `the reply holds ${topic}:${partition} ${own.length} times` }
  }
  if (line.errorCode !== 0) {
    const { kind, code, maybeStored } = classifyCode(line.errorCode)
    return kind === 'refused' ? { kind, code } : { kind: 'retry', code, maybeStored }
  }
  const baseOffset = toOffset(line.baseOffset)
  if (baseOffset === undefined) {
    return { kind: 'unknown', message: `the reply for ${topic}:${partition} has no offset` }
  }
  const appendTime = Number(line.logAppendTime ?? '-1')
  return { kind: 'acked', baseOffset, appendedAtMs: appendTime >= 0 ? appendTime : sentAtMs }
}

function toOffset(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  return BigInt(text)
}
