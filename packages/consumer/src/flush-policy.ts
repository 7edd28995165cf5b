// When buffers become a batch, and which. Pure: decides from loads and time alone.
import type { FlushPolicy } from './definition.ts'
import type { LaneLoad } from './lane.ts'

/** Why a batch was cut. Closed: it is a metric label. */
export type FlushReason = 'rows' | 'bytes' | 'age' | 'pressure' | 'stop'

/** Forces that flush before a limit of the policy is reached. */
export interface Pressure {
  /** Everything buffered must go. */
  readonly stopping: boolean
  /** The buffers of all lanes are over their common budget. */
  readonly overBudget: boolean
}

/** The reason to flush `load` now; undefined when it may go on filling. */
export function dueReason(
  load: LaneLoad,
  policy: FlushPolicy,
  nowMs: number,
  stopping: boolean
): FlushReason | undefined {
  if (load.rows === 0) return undefined
  if (load.rows >= policy.maxRows) return 'rows'
  if (load.bytes >= policy.maxBytes) return 'bytes'
  if (nowMs - load.oldestMs >= ageLimitMs(load, policy)) return 'age'
  return stopping ? 'stop' : undefined
}

function ageLimitMs({ behind }: LaneLoad, { maxAgeMs, behindAgeMs = maxAgeMs }: FlushPolicy): number {
  return behind ? behindAgeMs : maxAgeMs
}

/** The loads of several lanes as one. */
function sumLoads(loads: readonly LaneLoad[]): LaneLoad {
  let rows = 0
  let bytes = 0
  let oldestMs = Infinity
  let behind = false
  for (const load of loads) {
    rows += load.rows
    bytes += load.bytes
    oldestMs = Math.min(oldestMs, load.oldestMs)
    behind ||= load.behind
  }
  return { rows, bytes, oldestMs, behind }
}

/** The indexes of the lanes that make the next batch and why; undefined when none is due. */
export function pickLanes(
  loads: readonly LaneLoad[],
  policy: FlushPolicy,
  nowMs: number,
  pressure: Pressure
): { readonly lanes: readonly number[]; readonly reason: FlushReason } | undefined {
  return policy.scope === 'process' ? pickAll(loads, policy, nowMs, pressure) : pickOne(loads, policy, nowMs, pressure)
}

function pickAll(loads: readonly LaneLoad[], policy: FlushPolicy, nowMs: number, pressure: Pressure) {
  const reason = dueReason(sumLoads(loads), policy, nowMs, pressure.stopping)
  if (reason === undefined && !pressure.overBudget) return undefined
  const lanes = loads.flatMap((load, index) => (load.rows > 0 ? [index] : []))
  return lanes.length === 0 ? undefined : { lanes, reason: reason ?? ('pressure' as const) }
}

function pickOne(loads: readonly LaneLoad[], policy: FlushPolicy, nowMs: number, pressure: Pressure) {
  let oldest: { index: number; atMs: number; reason: FlushReason } | undefined
  let largest: { index: number; bytes: number } | undefined
  for (const [index, load] of loads.entries()) {
    if (load.rows === 0) continue
    const reason = dueReason(load, policy, nowMs, pressure.stopping)
    if (reason !== undefined && (oldest === undefined || load.oldestMs < oldest.atMs))
      oldest = { index, atMs: load.oldestMs, reason }
    if (largest === undefined || load.bytes > largest.bytes) largest = { index, bytes: load.bytes }
  }
  if (oldest !== undefined) return { lanes: [oldest.index], reason: oldest.reason }
  if (!pressure.overBudget || largest === undefined) return undefined
  return { lanes: [largest.index], reason: 'pressure' as const }
}

/** Monotonic time at which the first of these buffers is due by age; Infinity when all are empty. */
export function wakeAtMs(loads: readonly LaneLoad[], policy: FlushPolicy): number {
  if (policy.scope === 'process') return dueAtMs(sumLoads(loads), policy)
  return loads.reduce((first, load) => Math.min(first, dueAtMs(load, policy)), Infinity)
}

function dueAtMs(load: LaneLoad, policy: FlushPolicy): number {
  return load.oldestMs + ageLimitMs(load, policy)
}
