// What histories compare and count: values of scripts against states of reducers, and what closings and deletions did.
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { projectClock } from '../src/close.ts'
import type { TopicCount } from '../src/close.ts'
import type { readWindow } from '../src/emit.ts'
import { inOrder } from '../src/state.ts'
import type { EpochState } from '../src/state.ts'
import { liveTiming } from '../src/timing.ts'
import type { WindowValue } from '../src/window-value.ts'
import type { WindowState } from '../src/windows.ts'

const hourMs = 3_600_000

/** The comparison of the test runner explains a difference well and takes its time; most are equal. */
export function expectEqual(held: unknown, should: unknown): void {
  if (!isDeepStrictEqual(held, should)) expect(held).toEqual(should)
}

/** Names of dirty windows in the order of their start. */
export function wanted(epoch: EpochState): readonly string[] {
  const dirty = [...epoch.windows].filter(([name]) => epoch.dirty.has(name))
  return inOrder(dirty, (window) => window.startMs).map(([name]) => name)
}

/** The value of a script against the state of a reducer; few members, so the estimate is exact. */
export function expectWindow(value: WindowValue, reply: ReturnType<typeof readWindow>): void {
  if (reply.kind !== 'value') return expect.fail(`${value.name}: ${reply.kind}`)
  const { startMs, events, closed, capped, values } = reply.value
  const { name, revision } = value
  const wantedValue = { name, startMs, events, closed, capped, revision: reply.revision, values: sharesOf(values) }
  expectEqual(value, wantedValue)
  expect(revision).toBe(reply.revision)
}

function sharesOf(values: WindowState['values']): WindowValue['values'] {
  return new Map(
    [...values].map(([dimension, { count, sum, min, max, members }]) => [
      dimension,
      { count, sum, min, max, unique: members.size === 0 ? undefined : members.size }
    ])
  )
}

/** What a closing did, by the cases that its script tells apart. */
export function closings(before: EpochState | undefined, after: EpochState | undefined): readonly string[] {
  const sessions = [...(after?.sessions ?? [])].filter(
    ([id, { closed }]) => closed && !before?.sessions.get(id)?.closed
  )
  return sessions.map(([id, { firstMs }]) => {
    if (firstMs < (after?.completeFromMs ?? 0)) return 'closed a session that is not whole'
    return before?.sessions.get(id)?.contributed === undefined ? 'closed a session' : 'closed a session again'
  })
}

/** What a deletion did, and what it left although the clock would have it. */
export function removals(
  before: EpochState | undefined,
  after: EpochState | undefined,
  topic: TopicCount
): readonly string[] {
  if (before === undefined || after === undefined || after.torn !== undefined) return []
  const { latenessMs, seenKeepMs, sessionKeepMs } = liveTiming
  const clockMs = projectClock(after, topic)
  const isDue = (hour: number): boolean => (hour + 1) * hourMs + latenessMs + seenKeepMs <= clockMs
  const isUnique = (name: string): boolean => (before.windows.get(name)?.values.get('')?.members.size ?? 0) > 0
  const names = [...before.windows.keys()].filter((name) => !after.windows.has(name))
  const unsaid = [...after.dirtySessions].map((id) => after.sessions.get(id)?.lastMs ?? Infinity)
  const kept = [...after.windows].filter(([, { deleteAtMs }]) => deleteAtMs <= clockMs)
  return [
    ...names.map((name) => (isUnique(name) ? 'removed a window of members' : 'removed a window')),
    ...(before.seen.size > after.seen.size ? ['removed an hour'] : []),
    ...(before.sessions.size > after.sessions.size ? ['removed a session'] : []),
    ...([...after.seen.keys()].some(isDue) ? ['left an hour for another call'] : []),
    ...(unsaid.some((lastMs) => lastMs + sessionKeepMs <= clockMs) ? ['kept a session to emit'] : []),
    ...(kept.some(([name, { closed }]) => closed && after.dirty.has(name)) ? ['kept a window to emit'] : []),
    ...(after.stage === 'building' && kept.length > 0 ? ['kept a window of a build'] : [])
  ]
}

/** What `inspect` says of the sizes of an epoch. */
export function sizesOf(epoch: EpochState): object {
  const { windows, sessions, seen } = epoch
  return {
    openWindows: [...windows.values()].filter(({ closed }) => !closed).length,
    windows: windows.size,
    dirtyWindows: epoch.dirty.size,
    openSessions: [...sessions.values()].filter(({ closed }) => !closed).length,
    closedSessions: [...sessions.values()].filter(({ closed }) => closed).length,
    dirtySessions: epoch.dirtySessions.size,
    seenHours: seen.size,
    seenIds: [...seen.values()].reduce((sum, ids) => sum + ids.size, 0)
  }
}
