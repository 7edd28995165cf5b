// The way of one event through the gateway: check, lease, publish, commit. What it answers is what the client may rely
// on: `accepted` and `duplicate` mean stored on all in-sync replicas, anything else means "not known to be stored".
import { randomUUIDv7 } from 'node:crypto'
import { decodeEvent, defaultEventLimits, spliceRawEvent } from '@millrace/contracts'
import type { EventRefusal } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { Faults } from '@millrace/service'
import type { Dedup, Hold } from './dedup.ts'
import type { Publisher, PublishOutcome, UnavailableReason } from './publish.ts'

/** What is known of the request besides its body; each part is stored with the event when it is set. */
export interface Origin {
  readonly ip?: string | undefined
  readonly userAgent?: string | undefined
}

export type Acceptance =
  | { readonly kind: 'accepted'; readonly eventId: string; readonly generatedId: boolean }
  | { readonly kind: 'duplicate'; readonly eventId: string }
  | { readonly kind: 'rejected'; readonly refusal: EventRefusal }
  | {
      readonly kind: 'retry'
      readonly code: 'in_progress' | 'unknown' | 'unavailable'
      readonly reason: RetryReason
      readonly eventId: string
    }

/** Why an event has to be sent again. Closed: it is a metric label. */
type RetryReason = UnavailableReason | 'in_progress' | 'unknown' | 'broker_refused'

/** Takes one event of `project` from its bytes to its answer. */
export type AcceptEvent = (project: string, body: Buffer, origin: Origin) => Promise<Acceptance>

export interface AcceptDeps {
  readonly dedup: Dedup
  readonly publisher: Publisher
  readonly clock: Clock
  readonly faults: Faults
  readonly maxEventBytes: number
  /** Told the type of each event that passed the check. */
  readonly onReceived: (eventType: string) => void
  /** Told about each event that is published without a deduplication check. */
  readonly onUnchecked: () => void
}

const uncheckedHeaders = { dedup: 'unchecked' }

/** The path of an event over these parts. */
export function createAcceptEvent(deps: AcceptDeps): AcceptEvent {
  const { dedup, publisher, clock, faults } = deps
  const limits = { ...defaultEventLimits, maxBytes: deps.maxEventBytes }
  return async (project, body, origin) => {
    const now = clock.now()
    const decision = decodeEvent(body, now, limits)
    if (!decision.ok) return { kind: 'rejected', refusal: decision }
    deps.onReceived(decision.event.eventType)
    const generatedId = decision.event.eventId === undefined
    const eventId = decision.event.eventId ?? randomUUIDv7()

    await faults.at('gateway.before-reserve')
    const admission = await dedup.admit(project, eventId)
    await faults.at('gateway.after-reserve')
    if (admission.kind === 'duplicate') return { kind: 'duplicate', eventId }
    if (admission.kind === 'busy') return { kind: 'retry', code: 'in_progress', reason: 'in_progress', eventId }

    const { hold } = admission
    if (!hold.checked) deps.onUnchecked()
    const value = spliceRawEvent(body, {
      projectId: project,
      receivedAt: new Date(now).toISOString(),
      eventId: generatedId ? eventId : undefined,
      ip: origin.ip,
      userAgent: origin.userAgent
    })
    const unchecked = hold.checked ? {} : { headers: uncheckedHeaders }
    await faults.at('gateway.before-produce')
    const outcome = await publisher.publish({
      project,
      eventId,
      value,
      ...unchecked,
      onLateAck: () => void hold.commit()
    })
    await faults.at('gateway.after-ack')
    const acceptance = await settle(outcome, hold, eventId, generatedId, body)
    await faults.at('gateway.before-reply')
    return acceptance
  }
}

/** Ends the hold as the outcome demands: commit after an ack, release after a refusal, and neither when in doubt. */
async function settle(
  outcome: PublishOutcome,
  hold: Hold,
  eventId: string,
  generatedId: boolean,
  body: Buffer
): Promise<Acceptance> {
  switch (outcome.kind) {
    case 'acked':
      await hold.commit()
      return { kind: 'accepted', eventId, generatedId }
    case 'unknown':
      return { kind: 'retry', code: 'unknown', reason: 'unknown', eventId }
    case 'unavailable':
      await hold.release()
      return { kind: 'retry', code: 'unavailable', reason: outcome.reason, eventId }
    case 'refused':
      await hold.release()
      return isTooLarge(outcome.code)
        ? { kind: 'rejected', refusal: tooLargeForBroker(body.length) }
        : { kind: 'retry', code: 'unavailable', reason: 'broker_refused', eventId }
  }
}

function isTooLarge(code: string): boolean {
  return code === 'MESSAGE_TOO_LARGE' || code === 'RECORD_LIST_TOO_LARGE'
}

function tooLargeForBroker(size: number): EventRefusal {
  const detail = `${size} bytes; the broker of this deployment does not store a record of this size`
  return { ok: false, status: 413, code: 'event_too_large', pointer: '', detail }
}
