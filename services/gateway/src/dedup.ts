// Deduplication as the gateway uses it: lease, publish, commit, for the events of a request at a time. Redis being away
// costs copies, never an event and never an answer, so every failure here ends as `unchecked` or as a late mark, and is
// counted.
import type { DedupLease, DedupSlot, Reservation } from '@millrace/stores/dedup-lease'
import type { Clock } from '@millrace/kernel'
import type { EventAdmission, EventDedup, Hold, Receipt } from './event-dedup.ts'
import { createBoundedWait } from './bounded-wait.ts'
import { createLateMarks } from './late-marks.ts'

export interface DedupSettings {
  /** Longest wait for marks before the client is answered anyway. */
  readonly commitWaitMs: number
  /** After a failure Redis is left alone for this time; one request a time then tries it. */
  readonly restMs: number
  /** How long a mark that could not be written is tried again. */
  readonly markRetryMs: number
  /** Marks tried again at once at most; beyond it they are given up and counted. */
  readonly maxLateMarks: number
}

/** What failed: a call for so many events, or marks given up for good. */
export type DedupFailure = 'reserve' | 'commit' | 'release' | 'lost'

export interface DedupDeps {
  readonly lease: DedupLease
  readonly clock: Clock
  readonly settings: DedupSettings
  readonly onFailure: (operation: DedupFailure, events: number) => void
}

/** The lease protocol with its fallback. Disposing it waits for the marks that are being written. */
export function createDedup(deps: DedupDeps): EventDedup & AsyncDisposable {
  const { lease, clock, settings, onFailure } = deps
  const within = createBoundedWait(clock, settings.commitWaitMs)
  /** Calls for marks that Redis has not answered yet. */
  let underWay = 0
  let onIdle: (() => void) | undefined
  const late = createLateMarks({ lease, clock, settings, onLost: (events) => onFailure('lost', events) })
  let restUntilMs = 0

  const rest = (): void => {
    restUntilMs = clock.monotonic() + settings.restMs
  }
  const isResting = (): boolean => restUntilMs !== 0 && clock.monotonic() < restUntilMs
  /** False for one caller after each rest: it tries Redis while the others stay away until it knows. */
  const staysAway = (): boolean => {
    if (restUntilMs === 0) return false
    if (clock.monotonic() < restUntilMs) return true
    rest()
    return false
  }

  const mark = async (slots: readonly DedupSlot[]): Promise<void> => {
    const failed = await lease.commitAll(slots)
    if (failed.length === 0) return
    onFailure('commit', failed.length)
    rest()
    late.add(failed)
  }

  const ended = (): void => {
    if (--underWay === 0) onIdle?.()
  }

  return {
    async admitAll(project, generation, items) {
      const slots = items.map(({ eventId }) => lease.slot(project, generation, eventId))
      if (staysAway()) return slots.map(unchecked)
      const reservations = await lease.reserveAll(
        items.map(({ receipt }, at) => ({ slot: slots[at]!, receipt: receipt && receiptText(receipt) }))
      )
      const failed = countFailed(reservations)
      if (failed > 0) {
        onFailure('reserve', failed)
        rest()
      } else restUntilMs = 0
      return reservations.map((reservation, at) => toAdmission(reservation, slots[at]!))
    },
    async commitAll(holds) {
      const slots = holds.map(({ slot }) => slot)
      if (isResting()) return late.add(slots)
      underWay++
      await within(mark(slots).then(ended))
    },
    async releaseAll(holds) {
      const leases = holds.flatMap(({ slot, token }) => (token === undefined ? [] : { slot, token }))
      const failed = leases.length === 0 ? 0 : await lease.releaseAll(leases)
      if (failed > 0) onFailure('release', failed)
    },
    async [Symbol.asyncDispose]() {
      if (underWay > 0) await new Promise<void>((resolve) => (onIdle = resolve))
      await late.stop()
    }
  }
}

function countFailed(reservations: readonly Reservation[]): number {
  let failed = 0
  for (const { kind } of reservations) if (kind === 'failed') failed++
  return failed
}

function toAdmission(reservation: Reservation, slot: DedupSlot): EventAdmission {
  switch (reservation.kind) {
    case 'new': {
      const { token, receipt } = reservation
      const hold: Hold = { checked: true, slot, token }
      return { kind: 'admitted', hold, receipt: receipt === undefined ? undefined : parseReceipt(receipt) }
    }
    case 'failed':
      return unchecked(slot)
    default:
      return reservation
  }
}

/** Admitted without knowing whether the event is new. */
function unchecked(slot: DedupSlot): EventAdmission {
  return { kind: 'admitted', hold: { checked: false, slot, token: undefined } }
}

function receiptText({ receivedAt, sentAt = '' }: Receipt): string {
  return `${receivedAt} ${sentAt}`
}

function parseReceipt(text: string): Receipt {
  const space = text.indexOf(' ')
  const sentAt = text.slice(space + 1)
  return { receivedAt: text.slice(0, space), ...(sentAt === '' ? undefined : { sentAt }) }
}
