// What the gateway's own code does in an attempt to store one event, found out by running it: after each history of
// replies of Redis and Kafka, the next thing that it asks, or its answer.
import { defaultProjectSettings } from '@millrace/contracts'
import { createManualClock } from '@millrace/kernel'
import type { DedupLease, Reservation } from '@millrace/stores/dedup-lease'
import type { PublishOutcome } from '@millrace/kafka'
import { createAcceptEvents } from '../src/accept.ts'
import { dedupSettings } from '../src/config.ts'
import { createDedup } from '../src/dedup.ts'
import { withPlantedBugs } from '../src/planted.ts'

/** What an attempt asks, with the replies that it may get. `failed`: Redis did not answer. */
export const replies = {
  reserve: ['new', 'duplicate', 'busy', 'failed'],
  publish: ['acked', 'unknown', 'refused', 'unavailable'],
  commit: ['done', 'failed'],
  release: ['done', 'failed']
} as const

export type Question = keyof typeof replies
/** What the client is told. `retry` stands for every answer that makes it repeat. */
export type Told = 'stored' | 'retry'
/** By history, its replies joined by spaces. */
export type AttemptScript = ReadonlyMap<string, Question | Told>

const own = 'own token'
const outcomes: Readonly<Record<string, PublishOutcome>> = {
  acked: { kind: 'acked' },
  unknown: { kind: 'unknown' },
  refused: { kind: 'refused', code: 'TOPIC_AUTHORIZATION_FAILED' },
  unavailable: { kind: 'unavailable', reason: 'queue_full' }
}

/** The whole behaviour of an attempt, with the bugs of `planted`. */
export async function attemptScript(planted: ReadonlySet<string> = new Set()): Promise<AttemptScript> {
  const script = new Map<string, Question | Told>()
  const open: (readonly string[])[] = [[]]
  for (let history = open.pop(); history !== undefined; history = open.pop()) {
    const next = await runAttempt(history, planted)
    script.set(history.join(' '), next)
    if (next === 'stored' || next === 'retry') continue
    for (const reply of replies[next]) open.push([...history, reply])
  }
  return script
}

/** Runs one attempt that gets `history` as replies; what it asks next, or what it answers. */
async function runAttempt(history: readonly string[], planted: ReadonlySet<string>): Promise<Question | Told> {
  const left = [...history]
  const asked = Promise.withResolvers<Question>()
  const ask = <T>(question: Question, toReply: (word: string) => T): Promise<T> => {
    const word = left.shift()
    if (word !== undefined) return Promise.resolve(toReply(word))
    asked.resolve(question)
    return new Promise(() => {})
  }
  const lease: DedupLease = {
    slot: (prefix, _generation, word) => ({ prefix, word }),
    reserveAll: () => ask('reserve', (word) => [toReservation(word)]),
    commitAll: (slots) => ask('commit', (word) => (word === 'failed' ? slots : [])),
    releaseAll: ([held]) => {
      if (held?.token !== own) throw new Error(`released with the token ${held?.token}`)
      return ask('release', (word) => (word === 'failed' ? 1 : 0))
    },
    verifyLayout: async () => {}
  }
  const clock = createManualClock()
  const dedup = createDedup({ lease, clock, settings: dedupSettings, onFailure: () => {} })
  const accept = createAcceptEvents({
    dedup: withPlantedBugs(dedup, lease, planted),
    log: { retryAfterMs: () => 0, publishAll: () => ask('publish', (word) => [outcomes[word]!]) },
    clock,
    faults: { at: () => {} },
    maxEventBytes: 1_024,
    gates: [],
    onReceived: () => {},
    onUnchecked: () => {}
  })
  const project = { projectId: 'demo', logGeneration: 0, settings: defaultProjectSettings }
  const answered = accept(project, [Buffer.from('{"eventId":"e","eventType":"t"}')], {}).then(([acceptance]): Told => {
    return acceptance?.kind === 'accepted' || acceptance?.kind === 'duplicate' ? 'stored' : 'retry'
  })
  return await Promise.race([asked.promise, answered])
}

function toReservation(word: string): Reservation {
  return word === 'new' ? { kind: 'new', token: own } : { kind: word as 'duplicate' | 'busy' | 'failed' }
}
