// Small histories, each made for one danger. `complete`: few enough worlds to see them all in a unit test; the others
// are seen up to a bound, nearest first.
import { append, noFaults, scenario, time } from './scenario.ts'
import type { Scenario } from './scenario.ts'

interface Case {
  readonly name: string
  readonly scenario: Scenario
  readonly complete: boolean
}

/** One consumer, an id on two partitions, a late copy, two windows, deletion. */
export const duplicates = scenario({
  removes: true,
  begin: 4,
  happenings: [append(0, 0, 0, 0), append(1, 0, 0, 1), append(1, 1, 2, 2), append(1, 2, 0, 3), time(14)]
})

/** Several consumers that each believe to own everything. */
export const zombies = scenario({
  consumers: 2,
  coarse: false,
  begin: 3,
  happenings: [append(0, 0, 0, 0), append(0, 1, 1, 1), append(1, 0, 0, 1), time(12)]
})

/** A partition runs ahead of the other, and Redis falls back. */
export const rollback = scenario({
  faults: { ...noFaults, rollback: 1 },
  begin: 3,
  happenings: [append(0, 0, 1, 1), append(1, 1, 1, 1), append(0, 2, 3, 4), time(12)]
})

/** Two copies of an id on two partitions, and Redis falls back between a reply and the next call. */
export const refold = scenario({
  faults: { ...noFaults, rollback: 1 },
  begin: 2,
  happenings: [append(0, 0, 0, 0), append(1, 0, 0, 1), time(9)]
})

export const growth = scenario({
  partitions: 1,
  happenings: [
    append(0, 0, 1, 1),
    { kind: 'grow' },
    append(1, 0, 1, 1),
    append(1, 1, 1, 2),
    append(0, 2, 3, 4),
    time(12)
  ]
})

/** Partitions are counted, and then the topic grows before the windows are closed. */
export const countedBefore = scenario({
  partitions: 1,
  countsAnytime: true,
  happenings: [append(0, 0, 1, 1), { kind: 'grow' }, append(1, 1, 1, 2), append(0, 2, 3, 4), time(12)]
})

export const rebuild = scenario({
  aborts: true,
  faults: { ...noFaults, build: 1 },
  begin: 2,
  happenings: [append(0, 0, 0, 0), append(1, 0, 0, 1), time(12)]
})

export const rebuildOne = scenario({
  partitions: 1,
  aborts: true,
  faults: { ...noFaults, build: 1, unseal: 1 },
  begin: 1,
  happenings: [append(0, 0, 0, 0), time(12)]
})

export const rebuildDeletes = scenario({
  partitions: 1,
  removes: true,
  faults: { ...noFaults, build: 1 },
  begin: 1,
  happenings: [append(0, 0, 0, 0), time(12)]
})

export const loss = scenario({
  faults: { ...noFaults, loss: 1 },
  begin: 2,
  happenings: [append(0, 0, 0, 0), append(1, 1, 2, 2), append(0, 2, 5, 5), time(14)]
})

export const torn = scenario({
  faults: { ...noFaults, tear: 1 },
  begin: 1,
  happenings: [append(0, 0, 0, 0), append(1, 1, 2, 2), time(12)]
})

export const retention = scenario({
  partitions: 1,
  coarse: false,
  happenings: [
    append(0, 0, 1, 1),
    append(0, 1, 1, 1),
    append(0, 2, 3, 3),
    { kind: 'expire', partition: 0, start: 2 },
    time(12)
  ]
})

export const recreated = scenario({
  partitions: 1,
  begin: 1,
  happenings: [
    append(0, 0, 1, 1),
    append(0, 1, 1, 1),
    { kind: 'recreate' },
    append(0, 2, 9, 9),
    append(0, 3, 9, 10),
    time(22)
  ]
})

/** Recreated without the command; the new log becomes longer than the old one was. */
export const swapped = scenario({
  partitions: 1,
  happenings: [
    append(0, 0, 1, 1),
    append(0, 1, 1, 1),
    { kind: 'swap' },
    append(0, 2, 9, 9),
    append(0, 3, 9, 10),
    append(0, 4, 10, 10),
    time(22)
  ]
})

/** Sessions over two partitions, continued after they were closed. */
export const sessions = scenario({
  begin: 2,
  faults: { ...noFaults, rollback: 1 },
  happenings: [append(0, 0, 1, 1, 's'), append(1, 1, 2, 2, 's'), append(0, 2, 9, 9, 's'), time(22)]
})

export const quietSessions = scenario({ ...sessions, begin: 0, faults: noFaults })

/** An event waits in the log while its consumer asks for the end and sleeps. */
export const pause = scenario({
  partitions: 1,
  happenings: [append(0, 0, 0, 0), append(0, 1, 1, 2), time(4), time(12)]
})

/** Ids of one hour on both partitions; the second is read long after. */
export const backlog = scenario({
  begin: 3,
  happenings: [append(0, 0, 3, 3), append(1, 0, 3, 4), time(12)]
})

export const crashes = scenario({
  faults: { ...noFaults, crash: 2 },
  coarse: false,
  happenings: [append(0, 0, 0, 0), append(0, 1, 1, 1), append(1, 0, 0, 1), time(12)]
})

/** All of them, as sentences. */
export const cases: readonly Case[] = [
  { name: 'with duplicates on two partitions, late copies and deletion', scenario: duplicates, complete: true },
  { name: 'with two consumers that both believe to own everything', scenario: zombies, complete: false },
  { name: 'when Redis falls back to an older state', scenario: rollback, complete: false },
  { name: 'when Redis falls back between two tries of a batch with duplicates', scenario: refold, complete: true },
  { name: 'when the topic gets another partition', scenario: growth, complete: true },
  { name: 'when the topic grows after its partitions were counted', scenario: countedBefore, complete: false },
  { name: 'while a rebuild runs, is flipped to or given up', scenario: rebuild, complete: false },
  { name: 'while a rebuild deletes what it does not need', scenario: rebuildDeletes, complete: true },
  { name: 'while a partition is built anew', scenario: rebuildOne, complete: true },
  { name: 'with sessions that go on after they were closed', scenario: quietSessions, complete: true },
  { name: 'when Redis is lost', scenario: loss, complete: true },
  { name: 'when a script dies in the middle', scenario: torn, complete: true },
  { name: 'when retention takes what was not read', scenario: retention, complete: true },
  { name: 'when the topic is recreated by the command', scenario: recreated, complete: true },
  { name: 'when the topic is recreated behind its back', scenario: swapped, complete: true },
  { name: 'with sessions over two partitions and a rollback', scenario: sessions, complete: false },
  { name: 'when a consumer sleeps between asking for an end and telling it', scenario: pause, complete: true },
  { name: 'when one partition is read long after the other', scenario: backlog, complete: true },
  { name: 'when consumers are killed anywhere', scenario: crashes, complete: true }
]
