// Which way each error goes, and that a letter is one letter: workers die between the acknowledgement of a letter and the
// commit behind it, a store refuses rows and is away, poison lies among good events.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { metricOf } from '../warehouse/rig.ts'
import { broken } from '../oracle.ts'
import { compareIds, openOperationsRig } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const levels = 10_000
/** As large as a value can be below the broker's limit of 1 MiB with its framing. */
const largestBytes = 1024 * 1024 - 1_024
const garbage: readonly Buffer[] = [
  ...[
    'no event',
    '',
    '{',
    '{"eventId":1}',
    `{"eventId":"x","eventType":"${'x'.repeat(101)}"}`,
    '{"eventId":123456789012345678901234567890,"eventType":"view"}',
    `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  ].map((text) => Buffer.from(text)),
  // Not UTF-8.
  Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
  Buffer.alloc(largestBytes, 'noise')
]
const culprit = <Event extends { readonly eventType: string }>(event: Event): Event => ({
  ...event,
  eventType: 'culprit'
})

export const eachItsWay: FaultCase = {
  name: 'each-its-way',
  title: 'workers SIGKILLed between a letter and its commit, with records that are no events and rows that are refused',
  counters: [
    'killed after the letter',
    'letters',
    'copies of letters',
    'refused rows tried again',
    'refused rows found among others',
    'skipped elsewhere'
  ],
  async run(context) {
    const { counters } = context
    const killed = { MILLRACE_FAULTS: 'consumer.after-dlq:kill' }
    await using rig = await openOperationsRig(context, {
      only: ['processor', 'recorder', 'loader'],
      startEnv: (name, start) => (start === 1 && name !== 'loader' ? killed : {})
    })
    await rig.refuse(['culprit'])
    const good = await rig.write(1_500)
    // One by one: with the largest one in it no request of several would be taken.
    for (const [at, value] of garbage.entries()) await rig.append([{ partition: at % 4, key: `g${at}`, value }])
    const refused = await rig.write(5, { change: culprit })
    const rest = await rig.write(1_500)
    await rig.caughtUp(['process', 'record', 'load'])
    for (const name of ['processor', 'recorder'] as const)
      counters.count('killed after the letter', rig.service(name).starts - 1)
    const letters = await rig.letters()
    const ids = new Map(letters.map((letter) => [letter.id, letter]))
    counters.count('letters', ids.size)
    counters.count('copies of letters', letters.length - ids.size)
    const ofGroup = (group: string) => [...ids.values()].filter((letter) => letter.group === group)
    const tried = ofGroup('record').filter(({ attempts }) => attempts >= 4)
    counters.count('refused rows tried again', tried.length)
    counters.count('refused rows found among others', await retries(rig, 'recorder', 'record'))
    const skipped = 'analytics_events_dropped_total'
    const labels = '{reason="invalid",intentional="true"}'
    counters.count('skipped elsewhere', await metricOf(rig.service('loader'), skipped, labels))
    const landed = [...good, ...rest].map(({ eventId }) => eventId)
    const loaded = await rig.pipeline.visibleIds(rig.project.projectId)
    return rig.verdict(
      [
        ...compareIds('raw_events', landed, await rig.recorded()),
        ...compareIds('the view events', [...landed, ...refused.map(({ eventId }) => eventId)], loaded),
        ...wrongLetters(ofGroup('process'), 'parse schema', garbage.length),
        ...wrongLetters(ofGroup('record'), 'constraint', refused.length),
        ...broken(
          'INV-10',
          'letters of a group that has none',
          ofGroup('load').map(({ id }) => id)
        )
      ],
      letters
    )
  }
}

function wrongLetters(letters: readonly { id: string; reason: string }[], reasons: string, count: number) {
  const wrong = letters
    .filter(({ reason }) => !reasons.split(' ').includes(reason))
    .map(({ id, reason }) => `${id} ${reason}`)
  const problem = `letters other than ${count} of reason ${reasons}`
  return broken('INV-10', problem, letters.length === count ? wrong : [...wrong, `${letters.length} letters`])
}

/** Long enough that every client of the store has given up more than once; the long form outlasts any patience. */
const awayMs = 60_000
const longAwayMs = 600_000

export const sinkAway: FaultCase = {
  name: 'sink-away',
  title: `PostgreSQL killed for ${awayMs / 1_000} s (--long: ${longAwayMs / 60_000} min) under load`,
  counters: ['postgres killed', 'waits', 'records meanwhile', 'looks before the end'],
  async run(context) {
    const { counters, stack, long, say } = context
    // With the planted bug a storm would end the case before it can be judged.
    const env = { STORM_PER_MINUTE: context.planted === undefined ? '100' : '0' }
    await using rig = await openOperationsRig(context, { only: ['recorder'], env })
    const ids = (await rig.write(1_000)).map(({ eventId }) => eventId)
    await eventually('the first rows', async () => (await rig.recorded()).size > 0, { timeoutMs: 60_000 })
    if (stack.kill('postgres', 'SIGKILL')) counters.count('postgres killed')
    const untilMs = systemClock.monotonic() + (long ? longAwayMs : awayMs)
    while (systemClock.monotonic() < untilMs && !context.signal.aborted) {
      ids.push(...(await rig.write(200)).map(({ eventId }) => eventId))
      counters.count('records meanwhile', 200)
      await systemClock.sleep(1_000)
    }
    counters.count('waits', await retries(rig, 'recorder', 'handle'))
    const written = await endsOf(rig)
    await stack.restart('postgres')
    const backMs = systemClock.monotonic()
    const looks = watchOrder(rig, written)
    await rig.caughtUp(['record'])
    say(`${ids.length} records, caught up ${Math.round(systemClock.monotonic() - backMs)} ms after the store came back`)
    const order = await looks.stop()
    counters.count('looks before the end', order.looks)
    const letters = await rig.letters()
    const { starts } = rig.service('recorder')
    return rig.verdict(
      [
        ...compareIds('raw_events', ids, await rig.recorded()),
        ...broken(
          'INV-10',
          'letters over a store that was away',
          letters.map(({ id }) => id)
        ),
        ...broken('progress', 'a record landed before one in front of it', order.gaps),
        ...broken('progress', 'the recorder ended instead of waiting', starts === 1 ? [] : [`${starts} processes`])
      ],
      letters
    )
  }
}

interface Order {
  /** Those that saw a partition of which something was not there yet. */
  readonly looks: number
  /** `partition: rows of offsets` where something is missing in front of what is there. */
  readonly gaps: readonly string[]
}

/** Offsets behind what was written, by partition. */
async function endsOf({ pipeline, topic }: OperationsRig): Promise<ReadonlyMap<number, bigint>> {
  return new Map((await pipeline.admin.ranges(topic)).map(({ partition, end }) => [partition, end]))
}

/** What is recorded of a partition must be without a gap at every moment up to `written`: then it came in order. */
function watchOrder(rig: OperationsRig, written: ReadonlyMap<number, bigint>): { stop(): Promise<Order> } {
  let running = true
  let looks = 0
  const gaps: string[] = []
  const look = async (): Promise<void> => {
    const rows = await rig.postgres.query<{ partition: number; count: string; ends: string }>(
      `SELECT "partition", count(*)::text AS count, (max("offset") + 1)::text AS ends FROM raw_events
       WHERE project_id = $1 GROUP BY "partition"`,
      [rig.project.projectId]
    )
    if (rows.some(({ partition, ends }) => BigInt(ends) < (written.get(partition) ?? 0n))) looks++
    for (const { partition, count, ends } of rows)
      if (count !== ends) gaps.push(`${partition}: ${count} rows of ${ends} offsets`)
  }
  const turns = (async () => {
    while (running) {
      // The pool of the test may need a moment, too.
      await look().catch(() => undefined)
      await systemClock.sleep(50)
    }
    await look()
  })()
  return {
    async stop() {
      running = false
      await turns
      return { looks, gaps }
    }
  }
}

async function retries(rig: OperationsRig, name: 'recorder', step: string): Promise<number> {
  return await metricOf(rig.service(name), 'analytics_consumer_retries_total', `{group="record",step="${step}"}`)
}

const retryMs = 500
/** 1 + 4 + 16 times the first wait. */
const triesMs = retryMs * 21
const noticeMs = 4_000

export const poison: FaultCase = {
  name: 'poison',
  title: 'refused rows on one partition: other partitions are not held up, its own by its tries alone',
  counters: ['letters', 'rows of other partitions', 'rows behind the poison'],
  async run(context) {
    const { counters } = context
    const env = { RECORD_RETRY_MS: String(retryMs), FLUSH_AFTER_MS: '100' }
    await using rig = await openOperationsRig(context, { only: ['recorder'], env })
    await rig.refuse(['culprit'])
    const before = await rig.write(100)
    await rig.caughtUp(['record'])
    await rig.write(3, { partition: 0, change: culprit })
    const poisoned = async (): Promise<boolean> => (await retries(rig, 'recorder', 'record')) > 0
    await eventually('the poison to be found', poisoned, { timeoutMs: 60_000, intervalMs: 50 })
    const startedMs = systemClock.monotonic()
    const took = async (what: string, ids: readonly string[]): Promise<number> => {
      const are = async (): Promise<boolean> => {
        const found = await rig.recorded()
        return ids.every((id) => found.has(id))
      }
      await eventually(what, are, { timeoutMs: 60_000, intervalMs: 50 })
      return Math.round(systemClock.monotonic() - startedMs)
    }
    const behind = (await rig.write(50, { partition: 0 })).map(({ eventId }) => eventId)
    const others = (await rig.write(50, { partition: 1 })).map(({ eventId }) => eventId)
    const othersMs = await took('the other partitions', others)
    counters.count('rows of other partitions', others.length)
    const behindMs = await took('what is behind the poison', behind)
    counters.count('rows behind the poison', behind.length)
    await rig.caughtUp(['record'])
    const letters = await rig.letters()
    counters.count('letters', letters.length)
    context.say(`other partitions after ${othersMs} ms, behind the poison after ${behindMs} ms`)
    const all = [...before.map(({ eventId }) => eventId), ...behind, ...others]
    return rig.verdict(
      [
        ...compareIds('raw_events', all, await rig.recorded()),
        ...wrongLetters(letters, 'constraint', 3),
        ...broken('progress', 'another partition was held up', othersMs > noticeMs ? [`${othersMs} ms`] : []),
        ...broken(
          'progress',
          'neighbours were held up by more than the tries',
          behindMs > triesMs + noticeMs ? [`${behindMs} ms`] : []
        )
      ],
      letters
    )
  }
}

export const storm: FaultCase = {
  name: 'storm',
  title:
    'a deployment that refuses everything: the group stops before it writes its letters, and goes on with the next',
  counters: ['stopped', 'records held back', 'landed after the next deployment'],
  async run(context: CaseContext) {
    const { counters } = context
    const env = { RECORD_RETRY_MS: '100', STORM_PER_MINUTE: '100', BATCH_SIZE: '1000' }
    await using rig = await openOperationsRig(context, { only: ['recorder'], env })
    await rig.refuse(['*'])
    const ids = (await rig.write(3_000)).map(({ eventId }) => eventId)
    const recorder = rig.service('recorder')
    const isStopped = async (): Promise<boolean> =>
      (await metricOf(recorder, 'analytics_consumer_stopped', '{group="record"}')) === 1
    await eventually('the group to stop', isStopped, { timeoutMs: 60_000 })
    counters.count('stopped')
    const health = await fetch(`${recorder.url}/health`)
    const { checks } = (await health.json()) as { checks: Record<string, string> }
    const live = await fetch(`${recorder.url}/livez`)
    await systemClock.sleep(3_000)
    const before = await rig.letters()
    counters.count('records held back', ids.length - before.length)
    await rig.refuse([])
    recorder.kill('SIGTERM')
    await eventually('the next process', () => recorder.starts === 2, { timeoutMs: 60_000 })
    await rig.caughtUp(['record'])
    const letters = await rig.letters()
    const dead = new Set(letters.map(({ origin }) => origin)).size
    const recorded = await rig.recorded()
    counters.count('landed after the next deployment', recorded.size)
    return rig.verdict(
      [
        ...broken(
          'edge',
          'a stop that /health does not show',
          health.status === 503 && checks['letters'] === 'failed' ? [] : [String(health.status)]
        ),
        ...broken(
          'edge',
          'a stopped group that asks to be restarted',
          live.status === 200 ? [] : [String(live.status)]
        ),
        ...broken('INV-10', 'more letters than a storm may write', dead > 100 ? [String(dead)] : []),
        ...broken(
          'INV-3',
          'neither landed nor dead',
          recorded.size + dead === ids.length ? [] : [`${recorded.size} and ${dead} of ${ids.length}`]
        )
      ],
      letters
    )
  }
}
