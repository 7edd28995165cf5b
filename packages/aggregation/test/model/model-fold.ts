// The fold of the small world: one window metric with count and sum of bits, and sessions. The recount at the end is
// the oracle: what a log prefix means, written without batches, seen sets or scripts.
import type { ApplyCall, LeftOut, SeenHour } from '../../src/apply.ts'
import { claim } from '../../src/sessions.ts'
import type { SessionMerge } from '../../src/sessions.ts'
import type { WindowDelta } from '../../src/windows.ts'
import { settleMs } from '../../src/close.ts'
import type { LogRecord, Scenario, View } from './scenario.ts'

export interface Range {
  readonly epoch: number
  readonly partition: number
  readonly from: number
  /** The first record that was still there. */
  readonly first: number
  readonly to: number
  readonly leftOut: readonly string[]
  /** When it is handled; only a planted bug looks at it. */
  readonly nowMs: number
}

/** The call for a range of `view`; what retention took of it is skipped and counted. */
export function foldRange(scenario: Scenario, view: View, range: Range): ApplyCall {
  const { timing } = scenario
  const log = view.logs[range.partition] ?? []
  const { first } = range
  const hours = new Map<number, string[]>()
  const leftOut: LeftOut[] = []
  const windows = new Map<number, { count: number; sum: bigint }>()
  const sessions = new Map<string, SessionMerge>()
  const got = new Set<string>()
  let late = 0
  for (const record of log.slice(first, range.to)) {
    const knownMs = scenario.rules.lateByRecord ? record.appendedMs : range.nowMs
    if (knownMs - record.eventMs > timing.latenessMs) {
      late++
      continue
    }
    const id = String(record.bit)
    if (got.has(id)) continue
    got.add(id)
    const hour = Math.floor(record.eventMs / timing.hourMs)
    if (range.leftOut.includes(id)) {
      leftOut.push({ id, hours: [hour] })
      continue
    }
    hours.set(hour, [...(hours.get(hour) ?? []), id])
    const startMs = record.eventMs - (record.eventMs % scenario.windowMs)
    const held = windows.get(startMs) ?? { count: 0, sum: 0n }
    windows.set(startMs, { count: held.count + 1, sum: held.sum + (1n << BigInt(record.bit)) })
    addSession(sessions, record)
  }
  const appendedAtMs = range.to > first ? (log[range.to - 1]?.appendedMs ?? -1) : -1
  return {
    epoch: range.epoch,
    partition: range.partition,
    from: BigInt(range.from),
    to: BigInt(range.to),
    appendedAtMs,
    clockMs: appendedAtMs,
    hours: [...hours].map(([hour, ids]): SeenHour => ({ hour, ids, elsewhere: [] })),
    leftOut,
    windows: [...windows].map(([startMs, { count, sum }]) => toDelta(scenario, startMs, count, sum)),
    sessions: [...sessions.values()],
    late,
    closed: 0,
    expired: first - range.from
  }
}

/** An empty apply: nothing was there up to `clockMs`. */
export function emptyCall(epoch: number, partition: number, position: number, clockMs: number): ApplyCall {
  const at = BigInt(position)
  const nothing = { hours: [], leftOut: [], windows: [], sessions: [], late: 0, closed: 0, expired: 0 }
  return { epoch, partition, from: at, to: at, appendedAtMs: -1, clockMs, ...nothing }
}

function toDelta(scenario: Scenario, startMs: number, count: number, sum: bigint): WindowDelta {
  const endMs = startMs + scenario.windowMs
  return {
    name: windowName(startMs),
    startMs,
    closeAtMs: endMs + settleMs(scenario.timing),
    deleteAtMs: endMs + scenario.windowKeepMs,
    events: count,
    cap: 0,
    values: [{ dimension: '', count, sum }]
  }
}

function addSession(sessions: Map<string, SessionMerge>, record: LogRecord): void {
  if (record.session === undefined) return
  const held = sessions.get(record.session)
  const made = claim(record.eventMs, String(record.bit))
  sessions.set(record.session, {
    sessionId: record.session,
    firstMs: Math.min(held?.firstMs ?? record.eventMs, record.eventMs),
    lastMs: Math.max(held?.lastMs ?? record.eventMs, record.eventMs),
    events: (held?.events ?? 0) + 1,
    pageViews: 0,
    converted: false,
    first: held === undefined || made < held.first ? made : held.first,
    entry: '',
    exit: '',
    user: ''
  })
}

export const windowName = (startMs: number): string => `m:w:${startMs}`

/** What a set of applied ranges means: each distinct id with an on-time copy once. */
export interface Recount {
  readonly windows: ReadonlyMap<string, { readonly count: number; readonly sum: bigint }>
  readonly sessions: ReadonlyMap<string, { readonly events: number; readonly firstMs: number; readonly lastMs: number }>
  readonly late: number
}

/** Counts `records` without any of the machinery. */
export function recount(scenario: Scenario, records: Iterable<LogRecord>): Recount {
  const windows = new Map<string, { count: number; sum: bigint }>()
  const sessions = new Map<string, { events: number; firstMs: number; lastMs: number }>()
  const seen = new Set<number>()
  let late = 0
  for (const { bit, eventMs, appendedMs, session } of records) {
    if (appendedMs - eventMs > scenario.timing.latenessMs) {
      late++
      continue
    }
    if (seen.has(bit)) continue
    seen.add(bit)
    const name = windowName(eventMs - (eventMs % scenario.windowMs))
    const held = windows.get(name) ?? { count: 0, sum: 0n }
    windows.set(name, { count: held.count + 1, sum: held.sum + (1n << BigInt(bit)) })
    if (session === undefined) continue
    const old = sessions.get(session) ?? { events: 0, firstMs: eventMs, lastMs: eventMs }
    const firstMs = Math.min(old.firstMs, eventMs)
    sessions.set(session, { events: old.events + 1, firstMs, lastMs: Math.max(old.lastMs, eventMs) })
  }
  return { windows, sessions, late }
}
