// Drives records to an outcome: one request per leader, checked per partition, tried again until the deadline. `refused`
// is said only when no attempt can have stored the record; whatever is in doubt ends as `unknown`.
import { AppError, backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { within } from './bounded.ts'
import { classifyKafka, layersOf } from './kafkajs-errors.ts'
import type { ProduceOptions, ProduceOutcome, ProduceRecord } from './port.ts'
import { readReply } from './produce-reply.ts'
import type { PartitionReply, ReplyLine } from './produce-reply.ts'

/** One attempt to append; no retries of its own. */
export interface ProduceTransport {
  send(topic: string, records: readonly ProduceRecord[], sentAtMs: number): Promise<readonly ReplyLine[]>
  /** Leader by partition, at most `maxAgeMs` old; throws when unknown. */
  leaders(topic: string, maxAgeMs?: number): Promise<ReadonlyMap<number, number>>
}

export interface DeliveryOptions extends ProduceOptions {
  readonly transport: ProduceTransport
  readonly clock: Clock
  readonly log: Logger
  /** Time after which an outcome is given, known or not. */
  readonly ackTimeoutMs: number
  readonly maxRecordsPerPartition: number
}

/** Records of one partition that share their fate. */
interface Slice {
  readonly partition: number
  readonly indexes: readonly number[]
  maybeStored: boolean
}

const policy: BackoffPolicy = { baseMs: 100, capMs: 2_000, jitter: 0.2 }
const maxAttempts = 9

/** One outcome per record, in order; never throws. */
export async function deliver(
  topic: string,
  records: readonly ProduceRecord[],
  options: DeliveryOptions
): Promise<readonly ProduceOutcome[]> {
  const outcomes: ProduceOutcome[] = []
  const deadline = options.clock.monotonic() + options.ackTimeoutMs
  const work = { topic, records, outcomes, deadline, options }
  const slices = sliceByPartition(records, options.maxRecordsPerPartition)
  let waiting = slices
  let attempt = 1
  while (waiting.length > 0) {
    const again = await sendRound(work, waiting)
    waiting = again.slices
    if (again.failed) {
      attempt++
      const waitMs = backoffMs(policy, attempt - 1)
      if (attempt > maxAttempts || options.clock.monotonic() + waitMs >= deadline) {
        for (const slice of waiting) settle(work, slice, unknown(slice, again.reason))
        break
      }
      options.log.debug({ topic, attempt, reason: again.reason }, 'produce attempt failed, trying again')
      await options.clock.sleep(waitMs)
    }
  }
  return outcomes
}

interface Work {
  readonly topic: string
  readonly records: readonly ProduceRecord[]
  readonly outcomes: ProduceOutcome[]
  readonly deadline: number
  readonly options: DeliveryOptions
}

interface Round {
  readonly slices: readonly Slice[]
  readonly failed: boolean
  readonly reason: string
}

/** Sends the first slice of each partition, one request per leader; returns what is still to be done. */
async function sendRound(work: Work, slices: readonly Slice[]): Promise<Round> {
  let leaders: ReadonlyMap<number, number>
  try {
    leaders = await leadersFor(work, slices)
  } catch (error) {
    const { kind, code } = classifyKafka(error)
    if (kind !== 'refused') return { slices, failed: true, reason: code }
    for (const slice of slices) settle(work, slice, refusal(slice, code))
    return { slices: [], failed: false, reason: code }
  }
  const byLeader = new Map<number, Slice[]>()
  const later: Slice[] = []
  const taken = new Set<number>()
  for (const slice of slices) {
    const leader = leaders.get(slice.partition)
    if (leader === undefined) {
      settle(work, slice, refusal(slice, 'UNKNOWN_PARTITION'))
    } else if (taken.has(slice.partition)) later.push(slice)
    else {
      taken.add(slice.partition)
      const group = byLeader.get(leader)
      if (group === undefined) byLeader.set(leader, [slice])
      else group.push(slice)
    }
  }
  const rounds = await Promise.all([...byLeader.values()].map((group) => sendToLeader(work, group)))
  return {
    slices: [...rounds.flatMap((round) => round.slices), ...later],
    failed: rounds.some((round) => round.failed),
    reason: rounds.find((round) => round.failed)?.reason ?? ''
  }
}

/** Leaders known now; asked anew once when a partition is not among them, since topics grow. */
async function leadersFor(work: Work, slices: readonly Slice[]): Promise<ReadonlyMap<number, number>> {
  const { transport, clock } = work.options
  const ask = async (): Promise<ReadonlyMap<number, number>> => {
    const known = await transport.leaders(work.topic)
    return slices.every(({ partition }) => known.has(partition)) ? known : await transport.leaders(work.topic, 0)
  }
  const leaders = await within(ask(), timeLeft(work), clock)
  if (leaders === undefined) throw new AppError('PIPE_KAFKA_UNAVAILABLE', `nobody named the leaders of ${work.topic}`)
  return leaders
}

function timeLeft({ deadline, options }: Work): number {
  return deadline - options.clock.monotonic()
}

async function sendToLeader(work: Work, group: readonly Slice[]): Promise<Round> {
  const sentAtMs = work.options.clock.now()
  const again: Slice[] = []
  let reason = ''
  for (const [slice, reply] of await attempt(work, group, sentAtMs)) {
    if (reply.kind === 'acked') acknowledge(work, slice, reply)
    else if (reply.kind === 'unknown') settle(work, slice, { kind: 'unknown', message: reply.message })
    else if (reply.kind === 'retry') {
      slice.maybeStored ||= reply.maybeStored
      reason = reply.code
      again.push(slice)
    } else if (slice.indexes.length > 1) again.push(...halves(slice))
    else settle(work, slice, refusal(slice, reply.code))
  }
  return { slices: again, failed: reason !== '', reason }
}

/** One request. A failure that carries a reply is read per partition; any other one is the same for all of them. */
async function attempt(
  work: Work,
  group: readonly Slice[],
  sentAtMs: number
): Promise<readonly (readonly [Slice, PartitionReply])[]> {
  const records = group.flatMap(({ indexes }) => indexes.flatMap((index) => work.records[index] ?? []))
  const all = (reply: PartitionReply) => group.map((slice) => [slice, reply] as const)
  const read = (lines: readonly ReplyLine[]) =>
    group.map((slice) => [slice, readReply(lines, work.topic, slice.partition, sentAtMs)] as const)
  try {
    const request = work.options.transport.send(work.topic, records, sentAtMs)
    const lines = await within(request, timeLeft(work), work.options.clock)
    if (lines === undefined) return all({ kind: 'unknown', message: `no reply within ${work.options.ackTimeoutMs} ms` })
    return read(lines)
  } catch (error) {
    const lines = replyIn(error)
    if (lines !== undefined) return read(lines)
    const { kind, code, maybeStored } = classifyKafka(error)
    if (kind === 'refused' && group.length === 1) return all({ kind, code })
    if (kind === 'fatal') work.options.log.warn({ topic: work.topic, code, err: error }, 'produce request failed')
    return all({ kind: 'retry', code, maybeStored: maybeStored || kind === 'refused' })
  }
}

/** The reply lines that our kafkajs patch leaves on a protocol error. */
function replyIn(error: unknown): readonly ReplyLine[] | undefined {
  for (const layer of layersOf(error)) {
    if (!('reply' in layer) || !Array.isArray(layer.reply)) continue
    // The patch puts the decoded topics of the reply there, in the client's own shape.
    const topics = layer.reply as readonly { topicName: string; partitions: readonly Omit<ReplyLine, 'topicName'>[] }[]
    return topics.flatMap(({ topicName, partitions }) => partitions.map((line) => ({ ...line, topicName })))
  }
  return undefined
}

function acknowledge(work: Work, slice: Slice, reply: PartitionReply & { kind: 'acked' }): void {
  slice.indexes.forEach((index, position) => {
    const offset = reply.baseOffset + BigInt(position)
    work.outcomes[index] = { kind: 'acked', offset, appendedAtMs: reply.appendedAtMs }
  })
  work.options.onSettled?.(slice.indexes, work.outcomes)
}

function settle(work: Work, slice: Slice, outcome: ProduceOutcome): void {
  for (const index of slice.indexes) work.outcomes[index] = outcome
  work.options.onSettled?.(slice.indexes, work.outcomes)
}

function unknown({ maybeStored }: Slice, reason: string): ProduceOutcome {
  const message = `not acknowledged: ${reason}`
  return maybeStored ? { kind: 'unknown', message } : { kind: 'unknown', message, notStored: true }
}

/** A refusal is certain only when no earlier attempt is in doubt. */
function refusal(slice: Slice, code: string): ProduceOutcome {
  if (slice.maybeStored) return unknown(slice, code)
  return { kind: 'refused', code, message: `partition ${slice.partition} refused: ${code}` }
}

function halves({ partition, indexes, maybeStored }: Slice): readonly Slice[] {
  const middle = indexes.length >> 1
  return [indexes.slice(0, middle), indexes.slice(middle)].map((half) => ({ partition, indexes: half, maybeStored }))
}

/** The client groups the records of a partition in quadratic time, so a request holds at most `limit` of each. */
function sliceByPartition(records: readonly ProduceRecord[], limit: number): readonly Slice[] {
  const byPartition = new Map<number, number[]>()
  records.forEach(({ partition }, index) => {
    const indexes = byPartition.get(partition)
    if (indexes === undefined) byPartition.set(partition, [index])
    else indexes.push(index)
  })
  const slices: Slice[] = []
  for (const [partition, indexes] of byPartition) {
    for (let from = 0; from < indexes.length; from += limit) {
      slices.push({ partition, indexes: indexes.slice(from, from + limit), maybeStored: false })
    }
  }
  return slices
}
