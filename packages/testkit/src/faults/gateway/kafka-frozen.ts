// Kafka freezes for a minute under ten times the load: memory stays bounded, every answer comes in time and says when to
// come back, and nothing that was acknowledged is lost.
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { complain, openRig } from './rig.ts'

const frozenMs = 60_000
const maxRssBytes = 512 * 2 ** 20
/** A produce that is under way is given up after 10 s; the rest is for a busy machine. */
const maxAnswerMs = 13_000

export const kafkaFrozen: FaultCase = {
  name: 'kafka-frozen',
  title: 'Kafka frozen (SIGSTOP) for 60 s under about 2,000 events/s',
  counters: ['frozen', 'answered 503 while frozen', 'acknowledged after it'],
  async run(context) {
    const { counters, stack, say } = context
    await using rig = await openRig(context, {
      load: {
        pace: { kind: 'open', eventsPerSecond: 300, maxInFlight: 3_000 },
        maxRetryAfterMs: 5_000,
        repeatShare: 0,
        timeoutMs: 20_000
      }
    })
    await rig.traffic.moves(3_000)
    const frozenNs = process.hrtime.bigint()
    if (stack.kill('kafka', 'SIGSTOP')) counters.count('frozen')
    say('Kafka freezes')
    await systemClock.sleep(frozenMs)
    stack.kill('kafka', 'SIGCONT')
    const thawedNs = process.hrtime.bigint()
    rig.over()
    say('Kafka goes on')
    const before = rig.traffic.load.counts().accepted
    await rig.traffic.moves(3_000)
    counters.count('acknowledged after it', rig.traffic.load.counts().accepted - before)
    const verdict = await rig.judge({
      further(ledger) {
        // The first second is for what Kafka had answered before.
        const meanwhile = ledger.filter(({ sentNs, kind, tookMs }) => {
          const sent = BigInt(sentNs)
          const answered = sent + BigInt(tookMs) * 1_000_000n
          return kind === 'event' && sent > frozenNs + 1_000_000_000n && answered < thawedNs
        })
        counters.count('answered 503 while frozen', meanwhile.filter(({ status }) => status === 503).length)
        return [
          ...complain(
            'edge',
            'an answer other than 503',
            meanwhile.filter(({ status }) => status !== 503)
          ),
          ...complain(
            'progress',
            `no answer in ${maxAnswerMs} ms`,
            ledger.filter(({ tookMs }) => tookMs > maxAnswerMs)
          )
        ]
      }
    })
    const bounds = checkBounds(verdict.measures?.peakRssBytes ?? 0, rig.traffic.load.counts().withoutRetryAfter)
    return { ...verdict, violations: [...verdict.violations, ...bounds] }
  }
}

function checkBounds(peakRssBytes: number, withoutRetryAfter: number): readonly Violation[] {
  const found: Violation[] = []
  if (peakRssBytes > maxRssBytes) {
    const examples = [`${Math.round(peakRssBytes / 2 ** 20)} MiB`]
    found.push({ invariant: 'edge', problem: 'more memory than 512 MiB', count: 1, examples })
  }
  if (withoutRetryAfter > 0) {
    found.push({ invariant: 'edge', problem: '503 without Retry-After', count: withoutRetryAfter, examples: [] })
  }
  return found
}
