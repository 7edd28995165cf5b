// The partition queue under thousands of random schedules: replies late, lost, partial or never complete, leaders that
// move, bounds that are hit, a drain at any time. A failing schedule is named by its seed.
import { createManualClock } from '@millrace/kernel'
import type { ManualClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { createPartitionQueue } from './partition-queue.ts'
import type { ProduceOptions, ProduceOutcome, ProduceRecord } from './port.ts'
import type { PublishOutcome } from './publisher.ts'

const schedules = 10_000
const partitions = 4

/** Small and fast; the same numbers for the same seed (mulberry32). */
function createRandom(seed: number) {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return { below: (limit: number): number => Math.floor(next() * limit), chance: (part: number) => next() < part }
}

/** A producer that does at random what a cluster may do, and the log that results. */
function createCluster(clock: ManualClock, random: ReturnType<typeof createRandom>) {
  const log: string[][] = Array.from({ length: partitions }, () => [])
  const underWay = new Set<number>()
  const violations: string[] = []

  const fate = (partition: number, values: readonly string[]): readonly (ProduceOutcome | undefined)[] => {
    const all = (outcome: ProduceOutcome | undefined) => values.map(() => outcome)
    const dice = random.below(10)
    if (dice === 0) return all({ kind: 'unknown', message: 'dropped before the append' })
    if (dice === 1) return all({ kind: 'unknown', message: 'never sent', notStored: true })
    if (dice === 2)
      return values.map((_, index) => (index === 0 ? { kind: 'refused', code: 'X', message: '' } : undefined))
    const base = BigInt(log[partition]?.length ?? 0)
    log[partition]?.push(...values)
    if (dice === 3) return all({ kind: 'unknown', message: 'dropped after the append' })
    return values.map((_, index) => ({ kind: 'acked', offset: base + BigInt(index), appendedAtMs: 0 }))
  }

  const produce = async (
    _topic: string,
    records: readonly ProduceRecord[],
    { onSettled }: ProduceOptions = {}
  ): Promise<readonly ProduceOutcome[]> => {
    const outcomes: ProduceOutcome[] = []
    const own = Map.groupBy(
      records.map((_, index) => index),
      (index) => records[index]?.partition ?? -1
    )
    for (const partition of own.keys()) {
      if (underWay.has(partition)) violations.push(`partition ${partition} is under way twice`)
      underWay.add(partition)
    }
    const waits = [...own].map(async ([partition, indexes]) => {
      await clock.sleep(random.chance(0.03) ? 12_000 : random.below(20))
      const known = fate(
        partition,
        indexes.map((index) => String(records[index]?.value))
      )
      indexes.forEach((index, at) => {
        const outcome = known[at]
        if (outcome !== undefined) outcomes[index] = outcome
      })
      const told = indexes.filter((index) => outcomes[index] !== undefined)
      // A partition is free for the next request once all of its records are settled.
      if (random.chance(0.5) && told.length === indexes.length) {
        underWay.delete(partition)
        own.delete(partition)
        onSettled?.(indexes, outcomes)
      }
    })
    await Promise.all(waits)
    for (const partition of own.keys()) underWay.delete(partition)
    return outcomes
  }
  return { log, violations, produce }
}

async function runSchedule(seed: number): Promise<readonly string[]> {
  const clock = createManualClock()
  const random = createRandom(seed)
  const cluster = createCluster(clock, random)
  const { violations } = cluster
  const leaders = new Map(Array.from({ length: partitions }, (_, partition) => [partition, 1 + random.below(2)]))
  const queue = createPartitionQueue({
    producer: { produce: cluster.produce, leaders: async () => leaders },
    topicOf: () => 't',
    clock,
    partitionFor: (key) => Number(key.slice(0, 1)),
    limits: { maxBatchEvents: 3, maxQueuedBytes: 30 * 140, maxPartitionBytes: 12 * 140 }
  })
  const answers = new Map<string, PublishOutcome>()
  const late = new Set<string>()
  const sent: string[] = []
  const note = (eventId: string, outcome: PublishOutcome | undefined): void => {
    if (outcome === undefined || answers.has(eventId)) violations.push(`${eventId} is answered badly`)
    else answers.set(eventId, outcome)
  }
  for (let step = 0; step < 8; step++) {
    const events = Array.from({ length: 1 + random.below(4) }, (_, index) => {
      const eventId = `${random.below(partitions)}.${step}.${index}`
      sent.push(eventId)
      return { project: 'p', eventId, value: Buffer.from(eventId), onLateAck: () => void late.add(eventId) }
    })
    void queue.publishAll(events).then((outcomes) => events.forEach(({ eventId }, at) => note(eventId, outcomes[at])))
    await new Promise((resolve) => setImmediate(resolve))
    if (random.chance(0.2)) leaders.set(random.below(partitions), 1 + random.below(2))
    await clock.advance(random.chance(0.1) ? 6_000 : random.below(15))
  }
  const drained = random.chance(0.3) ? queue.drain() : undefined
  for (let step = 0; step < 12 && (queue.queuedBytes() > 0 || step < 2); step++) {
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(4_000)
  }
  await (drained ?? queue.drain())
  for (const eventId of sent) check(eventId, answers.get(eventId), cluster.log, late.has(eventId), violations)
  for (const [partition, values] of cluster.log.entries())
    if (values.join() !== sent.filter((eventId) => values.includes(eventId)).join())
      violations.push(`partition ${partition} is out of order: ${values.join(' ')}`)
  if (queue.queuedBytes() !== 0) violations.push(`${queue.queuedBytes()} bytes are left`)
  if (clock.pending() !== 0) violations.push(`${clock.pending()} timers are left`)
  return violations
}

function check(
  eventId: string,
  answer: PublishOutcome | undefined,
  log: readonly (readonly string[])[],
  late: boolean,
  violations: string[]
): void {
  const stored = log[Number(eventId.slice(0, 1))]?.includes(eventId) === true
  if (answer === undefined) violations.push(`${eventId} has no answer`)
  else if (answer.kind === 'acked' && !stored) violations.push(`${eventId} is acknowledged and lost`)
  else if ((answer.kind === 'refused' || answer.kind === 'unavailable') && stored)
    violations.push(`${eventId} is stored and was answered ${answer.kind}`)
  if (late && !(answer?.kind === 'unknown' && stored))
    violations.push(`${eventId} had a late ack without being unknown`)
}

test(`${schedules} random schedules keep every promise of the queue`, async () => {
  for (let seed = 1; seed <= schedules; seed++) {
    const violations = await runSchedule(seed)
    if (violations.length > 0) expect({ seed, violations }).toEqual({ seed, violations: [] })
  }
}, 120_000)
