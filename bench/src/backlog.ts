// A consumer as something to measure: records are put in front of it, and the window ends when it is through with them.
// Only its own CPU counts, so it does not matter how fast they are written.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, ProduceRecord, Producer } from '@millrace/kafka'
import type { LoadResult, Variant } from './harness.ts'

export interface BacklogOptions {
  readonly name: string
  readonly pids: () => readonly number[]
  readonly producer: Producer
  /** Topic that the consumer reads. */
  readonly topic: string
  /** Records made beforehand, by `count` of them; written again and again. */
  readonly records: (count: number) => readonly ProduceRecord[]
  /** Records a second that are put in front of it: more than it takes. */
  readonly perSecond: number
  /** How many records the consumer is through with, since ever. */
  readonly done: () => Promise<number>
  /** Freezes the consumer while the records are written, and only what comes after is on the clock. */
  readonly hold?: { readonly stop: () => void; readonly go: () => void }
}

const chunk = 2_000
const pollMs = 10
const longestMs = 60_000

/** The consumer under a backlog of about the length of the window. */
export function backlogVariant({
  name,
  pids,
  producer,
  topic,
  records,
  perSecond,
  done,
  hold
}: BacklogOptions): Variant {
  return {
    name,
    pids,
    async drive(ms): Promise<LoadResult> {
      const before = await done()
      const total = Math.max(chunk, Math.round((perSecond * ms) / 1_000))
      hold?.stop()
      for (let sent = 0; sent < total; sent += chunk) {
        const outcomes = await producer.produce(topic, records(Math.min(chunk, total - sent)))
        const failed = outcomes.find(({ kind }) => kind !== 'acked')
        if (failed !== undefined) throw new Error(`a record was not stored: ${JSON.stringify(failed)}`)
      }
      hold?.go()
      const goneAt = performance.now()
      const giveUpAt = goneAt + longestMs
      while ((await done()) - before < total) {
        if (performance.now() > giveUpAt) throw new Error(`${name} is not through with ${total} records`)
        await sleep(pollMs)
      }
      const elapsed = hold === undefined ? {} : { elapsedMs: performance.now() - goneAt }
      return { events: total, failures: 0, latencyMs: { p50: 0, p99: 0 }, ...elapsed }
    }
  }
}

/** Records of all partitions of `topic`, as a count of what a consumer has written there. */
export function lengthOf(admin: Admin, topic: string): () => Promise<number> {
  return async () => {
    const ranges = await admin.ranges(topic)
    return ranges.reduce((sum, { start, end }) => sum + Number(end - start), 0)
  }
}

/** Offsets that `group` has committed in `topic`, as a count of what it is through with. */
export function committedOf(admin: Pick<Admin, 'groupOffsets'>, group: string, topic: string): () => Promise<number> {
  return async () => {
    const offsets = await admin.groupOffsets(group, topic)
    return [...offsets.values()].reduce((sum, offset) => sum + Math.max(0, Number(offset)), 0)
  }
}
