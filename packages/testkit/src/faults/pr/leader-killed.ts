// Three brokers keep three copies of every record. The one that leads dies under load, then each is restarted in order, and
// before that some replies to a produce say nothing about what was sent. Nobody but the clients of that moment may notice.
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { brokerNames } from '@millrace/local-stack/part'
import type { BrokerName } from '@millrace/local-stack/part'
import { eventually } from '../../eventually.ts'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline } from '../../pipeline.ts'
import { openThreeBrokers } from '../../three-brokers.ts'
import type { ThreeBrokers } from '../../three-brokers.ts'
import { allInSync, killLeader } from '../brokers.ts'
import type { Brokers } from '../brokers.ts'
import { gatherEvidence, settle } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { complain } from '../gateway/rig.ts'
import type { LedgerEntry } from '../ledger.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import { startProjectLoad } from '../project-load.ts'
import type { ProjectLoad } from '../project-load.ts'
import { misnamedProduce } from '../proxy-rules.ts'
import { metricOf } from '../warehouse/rig.ts'

/** The shortest lease there is: what nobody knows the outcome of may be sent again soon. */
const leaseMs = 15_000
const awayMs = 6_000
/** What is under way when a broker goes is at most what the load has under way. */
const maxInFlight = 100
/** The shortest wait of the gateway before it sends a record again by itself, whose first reply was lost with its broker. */
const resentAfterMs = 80
const changedReplies = 3

export const leaderKilled: FaultCase = {
  name: 'leader-killed',
  title:
    'of three brokers the leader SIGKILLed under load, then each restarted in order; replies that leave records out',
  counters: [
    'topic with three copies',
    'reply without its partition',
    'unknown outcome',
    'unknown told by the gateway',
    'leader killed',
    'accepted while a broker was away',
    'restarted in order',
    'turned away or unknown in a gap',
    'copy in the log',
    'repeat recognised'
  ],
  async run(context) {
    context.say('three brokers start')
    await using cluster = await openThreeBrokers()
    await using pipeline = await openPipeline({
      endpoints: { ...cluster.stack.endpoints, KAFKA_BROKERS: cluster.brokers },
      folder: context.folder,
      planted: context.planted,
      only: ['gateway', 'processor', 'loader'],
      env: { DEDUP_LEASE_MS: String(leaseMs) },
      say: context.say
    })
    await using traffic = await startProjectLoad(pipeline, context, {
      pace: { kind: 'open', eventsPerSecond: 100, maxInFlight }
    })
    const topic = rawTopic(traffic.project.projectId)
    const brokers = { stack: cluster.stack, admin: pipeline.admin, sampler: await pipeline.kafka.sampler(), topic }
    return await hurt({ context, cluster, pipeline, traffic, brokers })
  }
}

interface World {
  readonly context: CaseContext
  readonly cluster: ThreeBrokers
  readonly pipeline: Pipeline
  readonly traffic: ProjectLoad
  readonly brokers: Brokers
}

/** A time in which clients may be turned away, by the clock of the ledger. */
interface Gap {
  readonly fromNs: bigint
  readonly toNs: bigint
}

async function hurt(world: World): Promise<Verdict> {
  const { context, pipeline, traffic, brokers } = world
  const { counters, say } = context
  await allInSync(brokers)
  counters.count('topic with three copies')
  await traffic.moves(500)
  const misnamed = await during(() => misname(world))
  await traffic.moves(500)
  const losses = [await during(() => loseLeader(world))]
  await traffic.moves(500)
  for (const name of brokerNames) {
    losses.push(await during(() => restartInOrder(world, name)))
    await traffic.moves(300)
  }
  counters.count('unknown told by the gateway', await unknownOf(pipeline))
  await traffic.load.stop()
  counters.count('repeat recognised', traffic.load.counts().duplicates)
  say('the load is over; waiting for the workers to catch up')
  await settle(pipeline, traffic.project.projectId)
  const evidence = await gatherEvidence(pipeline, traffic.project.projectId, traffic.ledgerFile)
  const { retried, copies } = retriesIn(evidence.ledger, losses)
  const unexplained = judge(evidence).violations.find(({ problem }) => problem.startsWith('more copies'))?.count ?? 0
  say(`${unexplained} copies by the gateway's own retries, of ${retried.size} events that may have any`)
  const verdict = judge(evidence, { produceRetries: copies, retried, lostMarks: false })
  counters.count('unknown outcome', evidence.ledger.filter(({ code }) => code === 'unknown').length)
  counters.count('copy in the log', verdict.figures.logCopies)
  const gaps = [misnamed, ...losses]
  const away = evidence.ledger.filter((entry) => entry.status === 503 || entry.end !== 'answered')
  counters.count('turned away or unknown in a gap', away.filter((entry) => gaps.some(holds(entry))).length)
  return {
    ...verdict,
    violations: [
      ...verdict.violations,
      // A repeat of an event whose outcome nobody knows is turned away until its lease ends, whenever that is.
      ...complain(
        'edge',
        'turned away although all brokers were there',
        away.filter((entry) => entry.attempt === 1 && entry.kind === 'event' && !gaps.some(holds(entry)))
      )
    ]
  }
}

async function during(what: () => Promise<void>): Promise<Gap> {
  const fromNs = process.hrtime.bigint()
  await what()
  return { fromNs, toNs: process.hrtime.bigint() }
}

/**
 * The events that the gateway may have sent twice by itself, since an attempt took that long while a broker went or came:
 * those that were accepted at once, and those whose outcome was unknown; and how many copies that explains. Other copies of
 * an event that its client had to send again are what deduplication is for: one for each unknown outcome, and no more.
 */
function retriesIn(
  ledger: readonly LedgerEntry[],
  losses: readonly Gap[]
): { readonly retried: ReadonlySet<string>; readonly copies: number } {
  const late = ledger.filter(
    ({ kind, attempt, status, code, tookMs }) =>
      kind === 'event' && ((attempt === 1 && status === 202) || code === 'unknown') && tookMs >= resentAfterMs
  )
  const inEach = losses.map((gap) => late.filter((entry) => holds(entry)(gap)))
  return {
    retried: new Set(inEach.flat().map(({ eventId }) => eventId)),
    copies: inEach.reduce((sum, { length }) => sum + Math.min(length, maxInFlight), 0)
  }
}

/** Whether the attempt was under way in the gap. */
function holds({ sentNs, tookMs }: LedgerEntry): (gap: Gap) => boolean {
  const sent = BigInt(sentNs)
  const answered = sent + BigInt(tookMs) * 1_000_000n
  return ({ fromNs, toNs }) => answered >= fromNs && sent <= toNs
}

/** Replies that hold nothing of what was sent, one after the other: whatever the client library makes of them. */
async function misname({ context, cluster, brokers: { topic } }: World): Promise<void> {
  const { counters, say } = context
  for (let round = 0; round < changedReplies; round++) {
    const rules = brokerNames.map((_, index) =>
      cluster.proxy(index + 1).add({ kind: 'change-reply', ...misnamedProduce(topic), times: 1 })
    )
    const changed = (): number => rules.reduce((sum, rule) => sum + rule.acted(), 0)
    await eventually('a reply to be changed', () => changed() > 0, { timeoutMs: 30_000 })
    for (const rule of rules) rule[Symbol.dispose]()
    counters.count('reply without its partition', changed())
  }
  // The last of them may still be on its way to a client.
  await systemClock.sleep(1_000)
  say(`${changedReplies} replies said nothing about what was sent`)
}

async function unknownOf(pipeline: Pipeline): Promise<number> {
  return await metricOf(
    pipeline.services.service('gateway'),
    'analytics_events_unavailable_total',
    '{reason="unknown"}'
  )
}

async function loseLeader({ context, traffic, brokers }: World): Promise<void> {
  const { counters, say } = context
  const { name, back } = await killLeader(brokers)
  counters.count('leader killed')
  const { accepted } = traffic.load.counts()
  await systemClock.sleep(awayMs)
  counters.count('accepted while a broker was away', traffic.load.counts().accepted - accepted)
  await back()
  say(`${name} is back after it was killed`)
}

async function restartInOrder({ context, cluster, brokers }: World, name: BrokerName): Promise<void> {
  await cluster.stack.restart(name)
  context.counters.count('restarted in order')
  await allInSync(brokers)
  context.say(`${name} is back after it was stopped`)
}
