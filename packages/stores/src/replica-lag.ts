// How late a replica of PostgreSQL is, in time, by no clock but ours: the primary is asked again and again how far its log
// goes, and what a replica has replayed is looked up among the answers. The time of the last replayed transaction would
// not do: it stands still while nobody writes, and while nothing arrives.
import { AppError, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Queryable, Row } from './postgres-run.ts'

export interface ReplicaLagDeps {
  readonly primary: Queryable
  readonly replicas: readonly Queryable[]
  readonly clock: Clock
  /** Longest wait for an answer. */
  readonly deadlineMs: number
}

/** Replicas by their numbers, from 0. */
export interface ReplicaLag {
  /** Never throws: one that does not answer is away until it does. */
  measurePrimary(): Promise<void>
  /** Whether the server is a replica at all. Throws PIPE_POSTGRES_UNAVAILABLE, PIPE_DEADLINE. */
  measure(replica: number): Promise<boolean>
  /**
   * Whether everything older than `lagMs` is there. While the primary is away nobody is known to write, and what a replica
   * has is the best there is: then one that had everything is always in time.
   */
  isWithin(replica: number, lagMs: number): boolean
  /** Whether the primary did not answer several times in a row: its pool may be taken once, or an answer lost. */
  isPrimaryAway(): boolean
  /**
   * Everything written before this time (monotonic) is there. Of a replica that nothing could be compared with, since the
   * primary never answered, it is when the measuring began.
   */
  wholeUntilMs(replica: number): number
  /** How late it is at most; ten minutes and more are not told apart. */
  behindMs(replica: number): number
}

const rememberedMs = 600_000
/** Failed checks in a row. */
const failuresOfAway = 3

/** Nothing is measured yet. */
export function createReplicaLag({ primary, replicas, clock, deadlineMs }: ReplicaLagDeps): ReplicaLag {
  const written = createPrimaryLog(rememberedMs)
  const replayed = new Map<number, { readonly wholeUntilMs: number; readonly hasAll: boolean }>()
  const startedAtMs = clock.monotonic()
  let failures = 0
  const isPrimaryAway = (): boolean => failures >= failuresOfAway
  const ask = async <R extends Row>(server: Queryable | undefined, text: string): Promise<R | undefined> =>
    (
      await withDeadline(Promise.resolve(server?.query<R>(text)), deadlineMs, clock, 'check a server of PostgreSQL')
    )?.[0]
  const behindMs = (replica: number): number =>
    clock.monotonic() - (replayed.get(replica)?.wholeUntilMs ?? Number.NEGATIVE_INFINITY)

  const readPrimary = async (): Promise<void> => {
    const askedAtMs = clock.monotonic()
    const row = await ask<{ readonly lsn: string }>(primary, 'SELECT pg_current_wal_lsn()::text AS lsn')
    const lsn = parseLsn(row?.lsn)
    if (lsn === undefined) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'the primary does not say how far it wrote')
    written.note(lsn, askedAtMs)
  }
  return {
    async measurePrimary() {
      failures = await readPrimary().then(
        () => 0,
        () => failures + 1
      )
    },
    async measure(replica) {
      const row = await ask<{ readonly standby: boolean; readonly lsn: string | null }>(
        replicas[replica],
        'SELECT pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn()::text AS lsn'
      )
      const lsn = row?.standby === true ? parseLsn(row.lsn) : undefined
      if (lsn !== undefined)
        replayed.set(replica, { wholeUntilMs: written.wholeUntil(lsn), hasAll: written.hasAll(lsn) })
      return lsn !== undefined
    },
    isWithin: (replica, lagMs) =>
      behindMs(replica) <= lagMs || (isPrimaryAway() && replayed.get(replica)?.hasAll === true),
    isPrimaryAway,
    wholeUntilMs: (replica) => {
      const { wholeUntilMs = Number.NEGATIVE_INFINITY, hasAll = false } = replayed.get(replica) ?? {}
      return hasAll ? Math.max(wholeUntilMs, startedAtMs) : wholeUntilMs
    },
    behindMs: (replica) => Math.min(rememberedMs, behindMs(replica))
  }
}

/** What the primary had written when. */
interface PrimaryLog {
  /** The primary, asked at `atMs`, had written everything up to `lsn`. */
  note(lsn: bigint, atMs: number): void
  /** A replica that has replayed `lsn` has everything written before this time; -Infinity when that is too long ago. */
  wholeUntil(lsn: bigint): number
  /** Whether a replica that has replayed `lsn` has everything that is known to be written. */
  hasAll(lsn: bigint): boolean
}

/** An empty memory; answers older than `keepMs` are forgotten, but for the newest. */
export function createPrimaryLog(keepMs: number): PrimaryLog {
  let notes: { readonly lsn: bigint; readonly atMs: number }[] = []
  return {
    note(lsn, atMs) {
      const newest = notes.at(-1)
      // Another server is the primary now, with less than the one before: what was noted of that says nothing.
      if (newest !== undefined && lsn < newest.lsn) notes = []
      notes = [...notes.filter((each) => atMs - each.atMs <= keepMs), { lsn, atMs }]
    },
    wholeUntil: (lsn) => notes.findLast((each) => each.lsn <= lsn)?.atMs ?? Number.NEGATIVE_INFINITY,
    hasAll: (lsn) => notes.every((each) => each.lsn <= lsn)
  }
}

/** The number of a `pg_lsn` in its text form, `16/B374D848`; undefined for anything else. */
export function parseLsn(text: unknown): bigint | undefined {
  const match = typeof text === 'string' ? /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) : null
  return match === null ? undefined : (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}
