// What an exploration runs on: a short history of a topic, and which faults may happen how often. Times are small
// integers, ids are bits, so that the sum of a window tells exactly which ids it counted and whether one counted twice.
import type { Timing } from '../../src/timing.ts'
import { operations } from './operations.ts'
import type { Operations } from './operations.ts'

export interface LogRecord {
  readonly bit: number
  readonly eventMs: number
  readonly appendedMs: number
  readonly session?: string
}

export type Happening =
  | { readonly kind: 'append'; readonly partition: number; readonly record: LogRecord }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'grow' }
  /** Retention takes what lies before `start`. */
  | { readonly kind: 'expire'; readonly partition: number; readonly start: number }
  /** The topic is deleted and created again by the command, which seals first and replaces the epoch after. */
  | { readonly kind: 'recreate' }
  /** The same behind everybody's back. */
  | { readonly kind: 'swap' }

/** The topic after some happenings. */
export interface View {
  readonly nowMs: number
  /** Counts recreations. */
  readonly generation: number
  readonly logs: readonly (readonly LogRecord[])[]
  readonly starts: readonly number[]
}

export interface Faults {
  readonly crash: number
  readonly rollback: number
  readonly loss: number
  readonly build: number
  readonly unseal: number
  readonly tear: number
}

/** How consumers behave beyond the scripts; each `false` is a planted bug. */
export interface Rules {
  /** A position is compared also while nothing comes. */
  readonly idleCheck: boolean
  /** The clock of an empty partition is read before its end offset is asked for. */
  readonly clockBeforeRequest: boolean
  /** Lateness is decided by the record, not by when it is handled. */
  readonly lateByRecord: boolean
  /** The topic is recreated only under a sealed epoch. */
  readonly sealBeforeRecreate: boolean
  /** Nothing expires by the wall clock. */
  readonly noWallClock: boolean
}

export interface Scenario {
  readonly timing: Timing
  readonly windowMs: number
  readonly windowKeepMs: number
  readonly partitions: number
  readonly consumers: number
  readonly happenings: readonly Happening[]
  /** Happenings that are over when the exploration begins. */
  readonly begin: number
  readonly faults: Faults
  /** Whether windows are deleted, builds aborted, seen hours of builds deleted. */
  readonly removes: boolean
  readonly aborts: boolean
  /** Partitions are counted also when nothing is to be closed yet. */
  readonly countsAnytime: boolean
  /** A fetch takes all there is; otherwise also one record. */
  readonly coarse: boolean
  /** What the clocks of the consumers are off by. */
  readonly clockOffMs: readonly number[]
  readonly rules: Rules
  readonly operations: Operations
}

const goodRules: Rules = {
  idleCheck: true,
  clockBeforeRequest: true,
  lateByRecord: true,
  sealBeforeRecreate: true,
  noWallClock: true
}

/** Two partitions, one consumer, no faults, tiny times; `change` makes the scenario. */
export function scenario(change: Partial<Scenario> & Pick<Scenario, 'happenings'>): Scenario {
  return {
    timing: { latenessMs: 1, marginMs: 0, hourMs: 4, seenKeepMs: 1, sessionIdleMs: 2, sessionKeepMs: 40 },
    windowMs: 2,
    windowKeepMs: 3,
    partitions: 2,
    consumers: 1,
    begin: 0,
    faults: noFaults,
    removes: false,
    aborts: false,
    countsAnytime: false,
    coarse: true,
    clockOffMs: [],
    rules: goodRules,
    operations,
    ...change
  }
}

export const noFaults: Faults = { crash: 0, rollback: 0, loss: 0, build: 0, unseal: 0, tear: 0 }

/** A record of the log. */
export function append(
  partition: number,
  bit: number,
  eventMs: number,
  appendedMs: number,
  session?: string
): Happening {
  const record = { bit, eventMs, appendedMs, ...(session === undefined ? {} : { session }) }
  return { kind: 'append', partition, record }
}

/** Time passes. */
export const time = (ms: number): Happening => ({ kind: 'time', ms })

/** The topic before each happening and after the last. */
export function viewsOf({ partitions, happenings }: Scenario): readonly View[] {
  const empty: View = {
    nowMs: 0,
    generation: 0,
    logs: Array.from({ length: partitions }, () => []),
    starts: Array.from({ length: partitions }, () => 0)
  }
  const views = [empty]
  let view = empty
  for (const happening of happenings) views.push((view = after(view, happening)))
  return views
}

function after(view: View, happening: Happening): View {
  const { logs, starts } = view
  switch (happening.kind) {
    case 'time':
      return { ...view, nowMs: happening.ms }
    case 'grow':
      return { ...view, logs: [...logs, []], starts: [...starts, 0] }
    case 'expire':
      return { ...view, starts: starts.map((start, p) => (p === happening.partition ? happening.start : start)) }
    case 'recreate':
    case 'swap':
      return { ...view, generation: view.generation + 1, logs: logs.map(() => []), starts: starts.map(() => 0) }
    case 'append': {
      const { partition, record } = happening
      const nowMs = Math.max(view.nowMs, record.appendedMs)
      return { ...view, nowMs, logs: logs.map((log, p) => (p === partition ? [...log, record] : log)) }
    }
  }
}
