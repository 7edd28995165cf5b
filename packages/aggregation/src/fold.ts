// A batch of one partition -> what it adds to windows and sessions. Pure, so every redelivery folds alike; late records
// and copies inside the batch are left out here, copies of earlier batches by the script.
import { hash } from 'node:crypto'
import type { EventRow } from '@millrace/contracts'
import type { ApplyCall, LeftOut, SeenHour } from './apply.ts'
import { createSessionFold } from './fold-sessions.ts'
import { createWindowFold } from './fold-windows.ts'
import type { MetricDefinition } from './metrics.ts'
import type { Timing } from './timing.ts'

/** One event of the batch with the digest of its id. */
export interface FoldItem {
  readonly row: EventRow
  readonly digest: string
  /** Another copy may have another time (EventTime): then its neighbouring hours are looked into too. */
  readonly dependsOnReceipt: boolean
}

/** The range of the log that the items are from, whatever else was in it. */
export interface FoldRange {
  readonly epoch: number
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
  /** Append time of the last record of the range. */
  readonly appendedAtMs: number
  /** Offsets of the range that retention took. */
  readonly expired: number
}

export interface FoldOptions {
  readonly timing: Timing
  readonly metrics: readonly MetricDefinition[]
  /** Event types that count as a conversion of the session. */
  readonly conversionTypes: ReadonlySet<string>
}

/** What earlier tries of the same range were answered. */
export interface Refusals {
  readonly ids: ReadonlySet<string>
  readonly deletedThrough: number
}

export interface Folded {
  readonly call: ApplyCall
  /** Values that are no number or too large, by events; they are in no sum. */
  readonly badValues: number
  /** Days (start, ms) of events that were left out because their hour is deleted: recount them from the warehouse. */
  readonly recountDays: readonly number[]
}

/** Nothing was refused yet. */
export const noRefusals: Refusals = { ids: new Set(), deletedThrough: -1 }

/** Length of a digest; 96 bits: two ids of a busy hour share one with a chance below 10^-11. */
export const digestLength = 16

/** What stands for an event id in the seen sets: 16 characters of [A-Za-z0-9_-], whatever the id is. */
export function digestOf(eventId: string): string {
  return hash('sha256', eventId, 'base64url').slice(0, digestLength)
}

/** Folds `items`, which are in the order of the log, without those in `refusals`. */
export function foldBatch(
  items: readonly FoldItem[],
  range: FoldRange,
  options: FoldOptions,
  refusals: Refusals = noRefusals
): Folded {
  const { timing } = options
  const taken = new Set<string>()
  const hours = new Map<number, HourDraft>()
  const leftOut: LeftOut[] = []
  const recountDays = new Set<number>()
  const windows = createWindowFold(options)
  const sessions = createSessionFold(options.conversionTypes)
  let late = 0
  let closed = 0
  for (const item of items) {
    const { row, digest } = item
    if (row.latenessMs > timing.latenessMs) {
      late++
      continue
    }
    const before = taken.size
    if (taken.add(digest).size === before) continue
    const hour = Math.floor(row.timestamp / timing.hourMs)
    if (refusals.ids.has(digest)) {
      if (hour <= refusals.deletedThrough) {
        closed++
        recountDays.add(row.timestamp - (row.timestamp % dayMs))
      }
      leftOut.push({ id: digest, hours: item.dependsOnReceipt ? [hour - 1, hour, hour + 1] : [hour] })
      continue
    }
    hourOf(hours, hour).ids.push(digest)
    if (item.dependsOnReceipt) {
      hourOf(hours, hour - 1).elsewhere.push(digest)
      hourOf(hours, hour + 1).elsewhere.push(digest)
    }
    windows.add(row)
    sessions.add(row)
  }
  const { epoch, partition, from, to, appendedAtMs, expired } = range
  const call: ApplyCall = {
    epoch,
    partition,
    from,
    to,
    appendedAtMs,
    clockMs: appendedAtMs,
    hours: [...hours.values()],
    leftOut,
    windows: windows.deltas(),
    sessions: sessions.merges(),
    late,
    closed,
    expired
  }
  return { call, badValues: windows.badValues(), recountDays: [...recountDays] }
}

const dayMs = 86_400_000

interface HourDraft extends SeenHour {
  readonly ids: string[]
  readonly elsewhere: string[]
}

function hourOf(hours: Map<number, HourDraft>, hour: number): HourDraft {
  const known = hours.get(hour)
  if (known !== undefined) return known
  const made: HourDraft = { hour, ids: [], elsewhere: [] }
  hours.set(hour, made)
  return made
}
