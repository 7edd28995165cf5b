// Compares what clients were told with what is really there. Pure: evidence in, verdict out, so a planted violation of
// each invariant is a unit test. Sets are compared exactly; nothing is sampled.
//
// INV-1  told 202 or 409 => in the log
// INV-2  copies in the log <= 1 + what explains a copy: unknown outcomes, unchecked accepts, retries of a produce
// INV-3  ids visible in a sink = ids of the log minus those with a letter; in a view each exactly once
// INV-9  no answer of one project shows anything of another
// INV-10 whatever of the log is not in the sinks has exactly one counted reason: its dead letter, bytes unchanged
import { isFinal, isUnknown } from './load-client.ts'
import type { LedgerEntry } from './ledger.ts'

/** One record of the raw topic. */
export interface LogFact {
  readonly partition: number
  readonly offset: bigint
  /** Undefined: the record is not an event. */
  readonly eventId: string | undefined
  readonly valueHash: string
  /** Stored without a deduplication check, and marked so. */
  readonly unchecked: boolean
}

/** One record of the dead-letter topic. */
export interface LetterFact {
  readonly letterId: string
  readonly group: string
  readonly partition: number
  readonly offset: bigint
  readonly reason: string
  readonly valueHash: string
}

/** What a sink shows: how often each id. */
export interface SinkFacts {
  readonly name: string
  /** The group whose letters excuse an absence here, beside those of `process`. */
  readonly group: string
  /** `once`: a copy is a violation. `atLeastOnce`: copies are permitted. */
  readonly copies: 'once' | 'atLeastOnce'
  readonly ids: ReadonlyMap<string, number>
}

export interface Evidence {
  readonly ledger: readonly LedgerEntry[]
  readonly log: readonly LogFact[]
  readonly letters: readonly LetterFact[]
  readonly sinks: readonly SinkFacts[]
}

/** What the case permits beyond the ledger. */
export interface Allowance {
  /** Copies that retries inside the Kafka client may have made, over all events. */
  readonly produceRetries: number
  /** The events of which such a retry may have made a copy; absent: any of them. */
  readonly retried?: ReadonlySet<string>
  /**
   * Whether marks of stored events may be lost (a deduplication store was rolled back): an event may then be accepted
   * again, and be there once for each time.
   */
  readonly lostMarks: boolean
}

export type Invariant =
  | 'INV-1'
  | 'INV-2'
  | 'INV-3'
  | 'INV-4'
  | 'INV-5'
  | 'INV-7'
  | 'INV-9'
  | 'INV-10'
  | 'edge'
  | 'progress'

/** One broken promise, with the ids or coordinates that show it. */
export interface Violation {
  readonly invariant: Invariant
  readonly problem: string
  readonly count: number
  /** At most ten of them. */
  readonly examples: readonly string[]
}

/** The numbers that are published for a run. */
export interface Figures {
  readonly attempts: number
  readonly acked: number
  readonly lost: number
  readonly refused: number
  /** Distinct events in the log. */
  readonly logged: number
  /** Records beyond the first of their event. */
  readonly logCopies: number
  readonly letters: number
  /** Ids that a view shows more than once. */
  readonly visibleCopies: number
  /** Attempts after which nobody knew whether the event is stored. */
  readonly unknown: number
  /** Records stored without a deduplication check, because its store did not answer in time. */
  readonly unchecked: number
  readonly unresolved: number
  /** Attempts that were answered 503. */
  readonly unavailable: number
}

/** What a case measured besides; absent where it makes no sense. */
export interface Measures {
  /** Largest resident memory of the process that was hurt. */
  readonly peakRssBytes?: number | undefined
  /** From the end of a fault to the next acknowledgement; the longest of several. */
  readonly recoveryMs?: number | undefined
}

export interface Verdict {
  readonly figures: Figures
  readonly violations: readonly Violation[]
  readonly measures?: Measures
}

/** A broken promise with what shows it; none when nothing does. */
export function broken(invariant: Invariant, problem: string, examples: readonly string[]): readonly Violation[] {
  return examples.length === 0 ? [] : [{ invariant, problem, count: examples.length, examples: examples.slice(0, 10) }]
}

const none: Allowance = { produceRetries: 0, lostMarks: false }

/** Judges the evidence of a run that has settled. */
export function judge(evidence: Evidence, allowance: Allowance = none): Verdict {
  const clients = readLedger(evidence.ledger)
  const copies = countBy(evidence.log.flatMap(({ eventId }) => eventId ?? []))
  const violations: Violation[] = []
  const report = (invariant: Invariant, problem: string, examples: readonly string[], permitted = 0): void => {
    if (examples.length > permitted)
      violations.push({ invariant, problem, count: examples.length, examples: examples.slice(0, 10) })
  }
  const lost = [...clients.acked].filter((id) => !copies.has(id))
  report('INV-1', 'acknowledged, not in the log', lost)
  const more = unexplained(evidence, clients, copies, allowance)
  const onlyRetried = more.every((id) => allowance.retried?.has(id) !== false)
  report(
    'INV-2',
    'more copies in the log than anything explains',
    more.map((id) => `${id} (${copies.get(id)} copies)`),
    onlyRetried ? allowance.produceRetries : 0
  )
  const unchecked = new Set(evidence.log.flatMap((fact) => (fact.unchecked && fact.eventId) || []))
  const again = clients.acceptedAgain.filter((id) => !unchecked.has(id))
  if (!allowance.lostMarks) report('INV-2', 'accepted again after it was acknowledged', again)
  report(
    'edge',
    'refused, but in the log',
    [...clients.refused].filter((id) => copies.has(id))
  )
  report(
    'edge',
    'in the log, but never sent',
    [...copies.keys()].filter((id) => !clients.sent.has(id))
  )
  report('edge', 'bad input that was not refused', clients.badAccepted)
  report('progress', 'no final answer', clients.unresolved)
  for (const sink of evidence.sinks) judgeSink(sink, evidence, copies, report)
  judgeLetters(evidence, report)
  return {
    violations,
    figures: {
      attempts: evidence.ledger.length,
      acked: clients.acked.size,
      lost: lost.length,
      refused: clients.refused.size,
      logged: copies.size,
      logCopies: evidence.log.filter(({ eventId }) => eventId !== undefined).length - copies.size,
      letters: new Set(evidence.letters.map(({ letterId }) => letterId)).size,
      visibleCopies: evidence.sinks
        .filter((sink) => sink.copies === 'once')
        .reduce((sum, { ids }) => sum + [...ids.values()].filter((count) => count > 1).length, 0),
      unknown: evidence.ledger.filter(isUnknown).length,
      unchecked: evidence.log.filter((fact) => fact.unchecked).length,
      unresolved: clients.unresolved.length,
      unavailable: evidence.ledger.filter(({ status }) => status === 503).length
    }
  }
}

type Report = (invariant: Invariant, problem: string, examples: readonly string[], permitted?: number) => void

interface ClientFacts {
  readonly sent: ReadonlySet<string>
  readonly acked: ReadonlySet<string>
  /** Every answer was a definite refusal. */
  readonly refused: ReadonlySet<string>
  readonly unknowns: ReadonlyMap<string, number>
  /** How often each event was answered 202. */
  readonly acceptances: ReadonlyMap<string, number>
  readonly acceptedAgain: readonly string[]
  readonly badAccepted: readonly string[]
  readonly unresolved: readonly string[]
}

function readLedger(ledger: readonly LedgerEntry[]): ClientFacts {
  const sent = new Set<string>()
  const acked = new Set<string>()
  const open = new Set<string>()
  const acceptedAgain: string[] = []
  const badAccepted: string[] = []
  const last = new Map<string, LedgerEntry>()
  for (const entry of ledger) {
    const { eventId, kind, status } = entry
    sent.add(eventId)
    last.set(`${kind} ${eventId}`, entry)
    if (isUnknown(entry)) open.add(eventId)
    if (status !== 202 && status !== 409) continue
    acked.add(eventId)
    if (kind === 'repeat' && status === 202) acceptedAgain.push(eventId)
    if (kind === 'bad') badAccepted.push(eventId)
  }
  return {
    sent,
    acked,
    refused: new Set([...sent].filter((id) => !acked.has(id) && !open.has(id))),
    unknowns: countBy(ledger.filter(isUnknown).map(({ eventId }) => eventId)),
    acceptances: countBy(ledger.filter(({ status }) => status === 202).map(({ eventId }) => eventId)),
    acceptedAgain,
    badAccepted,
    unresolved: [...last.values()].filter((entry) => !isFinal(entry)).map(({ eventId }) => eventId)
  }
}

/** The event of each copy that neither the ledger nor a mark in the log explains. */
function unexplained(
  evidence: Evidence,
  clients: ClientFacts,
  copies: ReadonlyMap<string, number>,
  { lostMarks }: Allowance
): string[] {
  const acceptances = lostMarks ? clients.acceptances : new Map<string, number>()
  const unchecked = countBy(evidence.log.flatMap(({ eventId, unchecked: marked }) => (marked && eventId) || []))
  return [...copies].flatMap(([id, count]) => {
    const explained = Math.max(1, acceptances.get(id) ?? 0) + (clients.unknowns.get(id) ?? 0) + (unchecked.get(id) ?? 0)
    return Array.from({ length: Math.max(0, count - explained) }, () => id)
  })
}

function judgeSink(sink: SinkFacts, evidence: Evidence, copies: ReadonlyMap<string, number>, report: Report): void {
  const { name, ids } = sink
  const excused = new Set(
    evidence.letters.filter(({ group }) => group === sink.group || group === 'process').map(coordinates)
  )
  const dead = new Set(
    evidence.log.flatMap((fact) => (fact.eventId !== undefined && excused.has(coordinates(fact)) ? fact.eventId : []))
  )
  const missing = [...copies.keys()].filter((id) => !ids.has(id) && !dead.has(id))
  report('INV-3', `in the log, not in ${name}`, missing)
  report(
    'INV-3',
    `in ${name}, not in the log`,
    [...ids.keys()].filter((id) => !copies.has(id))
  )
  if (sink.copies === 'atLeastOnce') return
  const repeated = [...ids].filter(([, count]) => count > 1).map(([id, count]) => `${id} (${count} times)`)
  report('INV-3', `visible more than once in ${name}`, repeated)
}

function judgeLetters({ log, letters }: Evidence, report: Report): void {
  const byPlace = new Map(log.map((fact) => [coordinates(fact), fact]))
  const fromProcess = new Map(
    letters.filter(({ group }) => group === 'process').map((each) => [coordinates(each), each])
  )
  const bad = log.filter(({ eventId }) => eventId === undefined)
  report(
    'INV-10',
    'not an event, without a letter',
    bad.map(coordinates).filter((place) => !fromProcess.has(place))
  )
  report(
    'INV-10',
    'a letter about a record that is not in the log',
    letters.map(coordinates).filter((place) => !byPlace.has(place))
  )
  report(
    'INV-10',
    'a letter whose bytes are not those of its record',
    letters
      .filter((each) => byPlace.get(coordinates(each))?.valueHash !== each.valueHash)
      .map(({ letterId }) => letterId)
  )
  report(
    'INV-10',
    'a letter without a reason',
    letters.filter(({ reason }) => reason === '').map(({ letterId }) => letterId)
  )
  const innocent = [...fromProcess].filter(([place]) => byPlace.get(place)?.eventId !== undefined)
  report(
    'INV-10',
    'an event that is in the dead letters',
    innocent.map(([place]) => place)
  )
}

function coordinates({ partition, offset }: { readonly partition: number; readonly offset: bigint }): string {
  return `${partition}:${offset}`
}

function countBy(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}
