// The way of a request's events through the gateway: check, lease, publish, commit; arrays at every step, since a promise
// per event would cost more than the checks. What it answers is what the client may rely on (acceptance.ts).
import { randomUUIDv7 } from 'node:crypto'
import { decodeEvent, defaultEventLimits, spliceRawEvent } from '@millrace/contracts'
import type { EventLimits, EventRefusal, ProjectContext } from '@millrace/contracts'
import type { OutgoingEvent, PublishOutcome } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { Faults } from '@millrace/service'
import type { Acceptance, AcceptEvents, CheckedEvent, Gate, Origin, Retry } from './acceptance.ts'
import type { DedupItem, EventAdmission, EventDedup, EventLog, Hold, Receipt } from './event-dedup.ts'

export interface AcceptDeps {
  readonly dedup: EventDedup
  readonly log: EventLog
  readonly clock: Clock
  readonly faults: Faults
  readonly maxEventBytes: number
  /** Asked in this order about the events that passed their check. */
  readonly gates: readonly Gate[]
  /** Told the type of each event that passed the check. */
  readonly onReceived: (eventType: string) => void
  /** Told about each event that is published without a deduplication check. */
  readonly onUnchecked: () => void
}

/** An event with the right to publish it. */
interface Held {
  readonly candidate: CheckedEvent
  readonly hold: Hold
  readonly receipt: Receipt | undefined
}

const uncheckedHeaders = { dedup: 'unchecked' }

/** The path of events over these parts. */
export function createAcceptEvents(deps: AcceptDeps): AcceptEvents {
  const { dedup, log, clock, faults } = deps
  const limits = { ...defaultEventLimits, maxBytes: deps.maxEventBytes }
  const textOf = createTimeText()
  return async (project, bodies, origin) => {
    const nowMs = clock.now()
    const receivedAt = textOf(nowMs)
    // Each point is awaited only when a fault is armed there: an await of nothing still costs a turn.
    let pause: void | Promise<void>
    const answers: (Acceptance | undefined)[] = []
    const checked = checkAll(bodies, origin, nowMs, limits, answers)
    for (const { event } of checked) deps.onReceived(event.eventType)
    if ((pause = faults.at('gateway.after-parse')) instanceof Promise) await pause

    let passed = checked
    for (const gate of deps.gates) {
      if (passed.length === 0) break
      const asked = gate(project, passed, nowMs)
      const verdicts = asked instanceof Promise ? await asked : asked
      if (verdicts !== undefined) passed = letPass(passed, verdicts, answers)
    }
    const repeats = passed.length > 1 ? new Map<CheckedEvent, number>() : undefined
    const first = repeats === undefined ? passed : separateRepeats(passed, repeats)
    if (first.length === 0) return answers as readonly Acceptance[]

    if ((pause = faults.at('gateway.before-reserve')) instanceof Promise) await pause
    const items = first.map((event) => toDedupItem(event, receivedAt, origin))
    const admissions = await dedup.admitAll(project.projectId, project.logGeneration, items)
    if ((pause = faults.at('gateway.after-reserve')) instanceof Promise) await pause

    const held = takeAdmissions(first, admissions, answers, deps.onUnchecked)
    if (held.length > 0) {
      const outgoing = held.map((one) => toOutgoing(one, project, receivedAt, origin, dedup))
      if ((pause = faults.at('gateway.before-produce')) instanceof Promise) await pause
      const outcomes = await log.publishAll(outgoing)
      if ((pause = faults.at('gateway.after-ack')) instanceof Promise) await pause
      const { stored, given } = settle(held, outcomes, answers, log)
      if (stored.length > 0) {
        if ((pause = faults.at('gateway.before-commit')) instanceof Promise) await pause
        await dedup.commitAll(stored)
        if ((pause = faults.at('gateway.after-commit')) instanceof Promise) await pause
      }
      if (given.length > 0) await dedup.releaseAll(given)
    }
    repeats?.forEach((index, { index: own, eventId }) => (answers[own] = fateOf(answers[index]!, eventId)))
    if ((pause = faults.at('gateway.before-reply')) instanceof Promise) await pause
    return answers as readonly Acceptance[]
  }
}

/** ISO 8601 text of a time in epoch milliseconds; requests of one millisecond share it. */
function createTimeText(): (ms: number) => string {
  let lastMs = Number.NaN
  let last = ''
  return (ms) => {
    if (ms !== lastMs) last = new Date((lastMs = ms)).toISOString()
    return last
  }
}

/** The events among `bodies`; what is none gets its answer. */
function checkAll(
  bodies: readonly Buffer[],
  { sentAt }: Origin,
  nowMs: number,
  limits: EventLimits,
  answers: (Acceptance | undefined)[]
): readonly CheckedEvent[] {
  const checked: CheckedEvent[] = []
  for (let index = 0; index < bodies.length; index++) {
    const body = bodies[index]!
    const decision = decodeEvent(body, nowMs, limits, sentAt)
    if (!decision.ok) {
      answers.push({ kind: 'rejected', refusal: decision })
      continue
    }
    answers.push(undefined)
    const { event, time } = decision
    const generatedId = event.eventId === undefined
    checked.push({ index, body, event, eventId: event.eventId ?? randomUUIDv7(), generatedId, time })
  }
  return checked
}

function letPass(
  events: readonly CheckedEvent[],
  verdicts: readonly (Acceptance | undefined)[],
  answers: (Acceptance | undefined)[]
): readonly CheckedEvent[] {
  return events.filter((event, at) => {
    const verdict = verdicts[at]
    if (verdict !== undefined) answers[event.index] = verdict
    return verdict === undefined
  })
}

/** The first use of each id. Later uses go to `repeats`, with the place of the first. */
function separateRepeats(events: readonly CheckedEvent[], repeats: Map<CheckedEvent, number>): readonly CheckedEvent[] {
  const places = new Map<string, number>()
  for (const event of events) {
    const place = places.get(event.eventId)
    if (place === undefined) places.set(event.eventId, event.index)
    else repeats.set(event, place)
  }
  return repeats.size === 0 ? events : events.filter((event) => !repeats.has(event))
}

function toDedupItem(
  { eventId, generatedId, event, time }: CheckedEvent,
  receivedAt: string,
  origin: Origin
): DedupItem {
  // Nobody repeats an id that the gateway made.
  if (!time.dependsOnReceipt || generatedId) return { eventId }
  return { eventId, receipt: { receivedAt, sentAt: event.sentAt ?? origin.sentAt } }
}

/** The events that may be published; the others get their answer. */
function takeAdmissions(
  events: readonly CheckedEvent[],
  admissions: readonly EventAdmission[],
  answers: (Acceptance | undefined)[],
  onUnchecked: () => void
): readonly Held[] {
  const held: Held[] = []
  for (let at = 0; at < events.length; at++) {
    const candidate = events[at]!
    const admission = admissions[at]!
    if (admission.kind === 'admitted') {
      held.push({ candidate, hold: admission.hold, receipt: admission.receipt })
      if (!admission.hold.checked) onUnchecked()
    } else {
      answers[candidate.index] = admission.kind === 'busy' ? busy(candidate.eventId) : duplicate(candidate.eventId)
    }
  }
  return held
}

/** The answer to the second use of an id within a request, by that of the first. */
function fateOf(first: Acceptance, eventId: string): Acceptance {
  switch (first.kind) {
    case 'accepted':
    case 'duplicate':
      return duplicate(eventId)
    case 'retry':
      return first
    case 'rejected':
      // The broker found the first one too large, which says nothing about this one.
      return busy(eventId)
  }
}

function toOutgoing(
  { candidate, hold, receipt }: Held,
  project: ProjectContext,
  receivedAt: string,
  origin: Origin,
  dedup: EventDedup
): OutgoingEvent {
  const { eventId, event, generatedId } = candidate
  const value = spliceRawEvent(candidate.body, {
    projectId: project.projectId,
    receivedAt: receipt?.receivedAt ?? receivedAt,
    sentAt: receipt === undefined ? (event.sentAt === undefined ? origin.sentAt : undefined) : sentAtOf(receipt, event),
    eventId: generatedId ? eventId : undefined,
    ip: origin.ip,
    userAgent: origin.userAgent,
    country: origin.country,
    schemaVersion: candidate.schemaVersion
  })
  return {
    project: project.projectId,
    eventId,
    value,
    ...(hold.checked ? undefined : { headers: uncheckedHeaders }),
    ...(project.settings.keyTemplate === 'eventId' ? undefined : { key: `${event.eventType}:${eventId}` }),
    onLateAck: () => void dedup.commitAll([hold])
  }
}

/**
 * The `sentAt` that belongs to an earlier receipt. Where that one had none, the receipt itself stands for it, which is a
 * clock that is right: the repeat's own would correct the time by the age of the receipt.
 */
function sentAtOf({ receivedAt, sentAt }: Receipt, event: CheckedEvent['event']): string | undefined {
  return sentAt ?? (event.sentAt === undefined ? undefined : receivedAt)
}

/** Answers by outcome. A hold is committed after an ack, given back after a refusal, and left alone when in doubt. */
function settle(
  held: readonly Held[],
  outcomes: readonly PublishOutcome[],
  answers: (Acceptance | undefined)[],
  log: EventLog
): { stored: readonly Hold[]; given: readonly Hold[] } {
  const stored: Hold[] = []
  const given: Hold[] = []
  for (let at = 0; at < held.length; at++) {
    const { candidate, hold } = held[at]!
    const outcome = outcomes[at]!
    answers[candidate.index] = answerTo(outcome, candidate, log)
    if (outcome.kind === 'acked') stored.push(hold)
    else if (outcome.kind !== 'unknown') given.push(hold)
  }
  return { stored, given }
}

function answerTo(outcome: PublishOutcome, { eventId, generatedId, body }: CheckedEvent, log: EventLog): Acceptance {
  switch (outcome.kind) {
    case 'acked':
      return { kind: 'accepted', eventId, generatedId }
    case 'unknown':
      return { kind: 'retry', code: 'unknown', reason: 'unknown', eventId }
    case 'unavailable':
      return {
        kind: 'retry',
        code: 'unavailable',
        reason: outcome.reason,
        eventId,
        retryAfterMs: log.retryAfterMs() || undefined
      }
    case 'refused':
      return isTooLarge(outcome.code)
        ? { kind: 'rejected', refusal: tooLargeForBroker(body.length) }
        : { kind: 'retry', code: 'unavailable', reason: 'broker_refused', eventId }
  }
}

function duplicate(eventId: string): Acceptance {
  return { kind: 'duplicate', eventId }
}

function busy(eventId: string): Retry {
  return { kind: 'retry', code: 'in_progress', reason: 'in_progress', eventId }
}

function isTooLarge(code: string): boolean {
  return code === 'MESSAGE_TOO_LARGE' || code === 'RECORD_LIST_TOO_LARGE'
}

function tooLargeForBroker(size: number): EventRefusal {
  const detail = `${size} bytes; the broker of this deployment does not store a record of this size`
  return { ok: false, status: 413, code: 'event_too_large', pointer: '', detail }
}
