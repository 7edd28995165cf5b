// A world of several processes of one group that crash, freeze, stop and rebalance while their store, the dead-letter
// topic and the coordinator fail. Everything follows from one seed. A broken promise is thrown as a Violation.
import { setImmediate } from 'node:timers/promises'
import { AppError, createManualClock, done } from '@millrace/kernel'
import type { Outcome } from '@millrace/kernel'
import { createMemoryCluster, partitionKey } from '@millrace/kafka'
import type { Commit, MemoryClient, ProduceFault, TopicPartition } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import type { Registry } from '@millrace/observability'
import { fixedTopics, item, rewind, startConsumer } from '../src/index.ts'
import type { Batch, ConsumedRecord, Consumer, HandleContext, Rewind } from '../src/index.ts'

/** `owner`: lane scope with positions and exactly-once effects in the sink. */
export type Mode = 'lane' | 'process' | 'owner'

export interface SimulationOptions {
  readonly seed: number
  readonly mode: Mode
  readonly registry: Registry
  readonly planted?: ReadonlySet<string>
  readonly steps?: number
}

/** What happened in a run, to see that the faults bit. */
export interface Tally {
  calls: number
  records: number
  effects: number
  repeats: number
  letters: number
  crashes: number
  stops: number
  rewinds: number
}

export class Violation extends Error {}

interface Item {
  readonly key: string
  readonly kind: string
}

interface Process {
  alive: boolean
  stopped: boolean
  readonly client: MemoryClient
  consumer: Consumer | undefined
  readonly handling: Set<string>
}

const topics = ['events.a', 'events.b']
const partitions: readonly TopicPartition[] = topics.flatMap((topic) => [
  { topic, partition: 0 },
  { topic, partition: 1 }
])
const never = new Promise<never>(() => {})

/** Runs one schedule. Throws a Violation. */
export async function simulate(options: SimulationOptions): Promise<Tally> {
  const { seed, mode, registry, planted = new Set<string>(), steps = 40 } = options
  const random = mulberry32(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const chance = (share: number): boolean => random() < share
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock, maxRecords: 1 + below(6) })
  const tally: Tally = { calls: 0, records: 0, effects: 0, repeats: 0, letters: 0, crashes: 0, stops: 0, rewinds: 0 }

  // What the outside world knows.
  const kinds = new Map<string, string>()
  const landed = new Map<string, number>()
  const letters = new Set<string>()
  const sink = new Map<string, bigint>()
  const verified = new Map<string, bigint>()
  const committed = new Map<string, bigint>()
  const processes = new Set<Process>()
  let violation: Violation | undefined
  const broken = (text: string): void => void (violation ??= new Violation(`seed ${seed}, mode ${mode}: ${text}`))
  const trouble = { store: 0, refuse: 0.5, slow: 0, letters: 0, commits: 0, crash: 0 }

  const settled = (key: string): boolean => {
    const kind = kinds.get(key)
    return kind === 'skip' || letters.has(key) || landed.has(key)
  }
  cluster.faults.commit = (_group, commits) => {
    for (const commit of commits) verify(commit)
    return chance(trouble.commits) ? (chance(0.5) ? 'unavailable' : 'reply-lost') : undefined
  }
  const verify = (commit: Commit): void => {
    const key = partitionKey(commit)
    for (let offset = verified.get(key) ?? 0n; offset < commit.offset; offset++) {
      if (!settled(`${key}:${offset}`))
        return broken(`commit ${commit.offset} of ${key} is ahead of the effect of ${offset}`)
      verified.set(key, offset + 1n)
    }
  }
  cluster.faults.produce = (_topic, records) => {
    const fault: ProduceFault | undefined = chance(trouble.letters)
      ? (['lost', 'reply-lost', 'refused'] as const)[below(3)]
      : undefined
    if (fault === 'lost' || fault === 'refused') return fault
    for (const { headers } of records) {
      const key = String(headers?.['dlq.id']).replace('g:', '')
      if (!['bad', 'refused'].includes(kinds.get(key) ?? '')) broken(`an innocent record has a letter: ${key}`)
      letters.add(key)
      tally.letters++
    }
    return fault
  }

  const decode = (record: ConsumedRecord) => {
    const key = `${partitionKey(record)}:${record.offset}`
    const kind = record.value?.toString() ?? ''
    if (kind === 'skip') return { kind: 'skip', reason: 'invalid' } as const
    if (kind === 'bad') return { kind: 'dead', reason: 'parse', cause: new Error('bad') } as const
    return item<Item>({ key, kind })
  }
  const apply = (batch: Batch<Item>): Rewind | undefined => {
    const [range] = batch.ranges
    if (mode !== 'owner' || range === undefined) return undefined
    const key = partitionKey(range)
    const position = sink.get(key) ?? 0n
    if (range.from !== position) {
      tally.rewinds++
      return rewind([{ topic: range.topic, partition: range.partition, offset: position }])
    }
    for (let offset = range.from; offset < range.to; offset++) {
      const kind = kinds.get(`${key}:${offset}`)
      const set = kind === 'bad' || kind === 'refused'
      if (set && !letters.has(`${key}:${offset}`))
        broken(`the sink passed ${key}:${offset} before its letter was stored`)
    }
    sink.set(key, range.to)
    return undefined
  }
  const handle = async (
    process: Process,
    batch: Batch<Item>,
    { signal }: HandleContext
  ): Promise<readonly Outcome[] | Rewind> => {
    if (++tally.calls > 20_000) {
      broken('no progress')
      return await never
    }
    if (process.stopped) broken('the worker was called after the stop')
    const keys = batch.ranges.map(partitionKey)
    for (const key of keys) {
      if (process.handling.has(key)) broken(`two calls for ${key} at once`)
      process.handling.add(key)
    }
    try {
      if (chance(trouble.slow)) await clock.sleep(below(9_000), chance(0.5) ? signal : undefined)
      if (!process.alive) return await never
      if (chance(trouble.store)) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'down')
      if (batch.items.some(({ kind }) => kind === 'refused')) throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'row')
      const gap = apply(batch)
      if (gap !== undefined) return gap
      for (const { key } of batch.items) {
        const before = landed.get(key) ?? 0
        if (mode === 'owner' && before > 0) broken(`${key} was applied twice`)
        landed.set(key, before + 1)
        tally.effects++
        if (before > 0) tally.repeats++
      }
      // The effect is there, its answer is lost.
      if (chance(trouble.store)) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
      if (chance(trouble.slow)) await clock.sleep(below(2_000))
      return batch.items.map(() => done)
    } finally {
      for (const key of keys) process.handling.delete(key)
    }
  }
  const crash = (process: Process): void => {
    if (!process.alive) return
    process.alive = false
    processes.delete(process)
    process.client.crash()
    tally.crashes++
  }
  const start = async (): Promise<void> => {
    const process: Process = {
      alive: true,
      stopped: false,
      client: cluster.client(),
      consumer: undefined,
      handling: new Set()
    }
    processes.add(process)
    const maxRows = 1 + below(5)
    process.consumer = await startConsumer<Item>(
      {
        name: 'simulated',
        group: 'g',
        topics: fixedTopics(topics),
        policy: {
          maxRows,
          maxBytes: 10_000,
          maxAgeMs: 20 + below(200),
          scope: mode === 'process' ? 'process' : 'lane'
        },
        decode,
        handle: (batch, context) => handle(process, batch, context),
        settings: {
          drainMs: 1_000 + below(4_000),
          stopMs: 2_000,
          concurrency: 1 + below(3),
          decodeOnArrival: seed % 2 === 1,
          maxBisectCalls: 1 + below(8),
          recordRetryMs: chance(0.5) ? 0 : 1 + below(500),
          storm: { perMinute: 0, share: 1, leastLetters: 0 }
        },
        ...(mode === 'owner' && { startAt: async () => new Map(sink) })
      },
      {
        client: process.client,
        letters: { producer: cluster.producer, topicFor: () => 'events.dlq.a', appVersion: '0' },
        log: createSilentLogger(),
        registry,
        clock,
        random,
        planted,
        faults: {
          at: () => {
            if (!process.alive) return never
            if (!chance(trouble.crash)) return undefined
            crash(process)
            return never
          }
        }
      }
    )
    void process.consumer.done.catch((error: unknown) => broken(`the consumer failed: ${String(error)}`))
  }
  const stop = async (process: Process): Promise<void> => {
    processes.delete(process)
    tally.stops++
    await process.consumer?.[Symbol.asyncDispose]()
    process.stopped = true
  }
  const any = (): Process | undefined => [...processes][below(processes.size)]
  const append = (): void => {
    const target = partitions[below(partitions.length)]
    if (target === undefined) return
    const dice = random()
    const kind = dice < 0.05 ? 'bad' : dice < 0.1 ? 'skip' : dice < 0.1 + 0.05 * trouble.refuse ? 'refused' : 'good'
    const offset = cluster.append(target, kind)
    kinds.set(`${partitionKey(target)}:${offset}`, kind)
    tally.records++
  }
  const advance = async (ms: number): Promise<void> => {
    await clock.advance(ms)
    await setImmediate()
    for (const target of partitions) {
      const key = partitionKey(target)
      const now = cluster.committed('g', target) ?? 0n
      if (now < (committed.get(key) ?? 0n))
        broken(`the commit of ${key} went back from ${committed.get(key)} to ${now}`)
      committed.set(key, now)
    }
    if (violation !== undefined) throw violation
  }

  const plain = { replicationFactor: 1, config: {} }
  await cluster.admin.createTopics([
    ...topics.map((topic) => ({ topic, partitions: 2, ...plain })),
    { topic: 'events.dlq.a', partitions: 1, ...plain }
  ])
  await start()
  const event = async (): Promise<void> => {
    const process = any()
    const events: readonly (() => void | Promise<void>)[] = [
      () => (processes.size < 3 ? start() : undefined),
      () => (process === undefined ? undefined : crash(process)),
      () => (process === undefined ? undefined : void stop(process)),
      () => process?.client.isolate(),
      () => [...processes].forEach(({ client }) => client.heal()),
      () => cluster.rebalance('g'),
      () => void (trouble.store = chance(0.5) ? random() : 0),
      () => void (trouble.slow = chance(0.5) ? random() : 0),
      () => void (trouble.letters = chance(0.5) ? random() : 0),
      () => void (trouble.commits = chance(0.5) ? random() : 0),
      () => void (trouble.crash = chance(0.3) ? random() * 0.1 : 0),
      () => (processes.size === 0 ? start() : undefined)
    ]
    await events[below(events.length)]?.()
  }
  for (let step = 0; step < steps; step++) {
    for (let count = below(8); count > 0; count--) append()
    await event()
    await advance(below(chance(0.2) ? 20_000 : 500))
  }

  // The troubles end: everything must have landed, and nothing is left to do.
  Object.assign(trouble, { store: 0, slow: 0, letters: 0, commits: 0, crash: 0 })
  for (const { client } of processes) client.heal()
  if (processes.size === 0) await start()
  const complete = (): boolean =>
    [...kinds.keys()].every(settled) &&
    partitions.every((target) => {
      const count = [...kinds.keys()].filter((key) => key.startsWith(`${partitionKey(target)}:`)).length
      // The position of a sink is the truth; the commit beside it is a hint.
      const position = mode === 'owner' ? sink.get(partitionKey(target)) : cluster.committed('g', target)
      return (position ?? 0n) === BigInt(count)
    })
  for (let wait = 0; wait < 60 && !complete(); wait++) await advance(5_000)
  const missing = [...kinds.keys()].filter((key) => !settled(key))
  if (missing.length > 0) broken(`${missing.length} records are lost: ${missing.slice(0, 5).join(' ')}`)
  else if (!complete()) broken('the group did not catch up with the log')
  const wrong = [...landed.keys()].filter((key) => kinds.get(key) !== 'good')
  if (wrong.length > 0) broken(`refused records landed: ${wrong.join(' ')}`)
  await Promise.all([...processes].map((process) => Promise.race([stop(process), clock.advance(30_000)])))
  for (const process of processes) process.stopped = true
  append()
  await advance(60_000)
  return tally
}

/** A small seeded generator of numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
