// Emission: read value and revision, produce, wait for the ack, and confirm. The entry stays when the value changed
// meanwhile, so the newest value is always either emitted or still waiting. Consumers keep the highest (epoch, revision).
import type { SessionState } from './sessions.ts'
import { liveEpoch, withEpoch } from './state.ts'
import type { Broken, EpochState, ProjectState, Step, WrongEpoch } from './state.ts'
import { revisionOf } from './windows.ts'
import type { WindowState } from './windows.ts'

/** A window or a session by its name or id. */
export interface EmissionOf {
  readonly epoch: number
  readonly name: string
}

export type ReadReply<V> =
  | { readonly kind: 'value'; readonly revision: number; readonly value: V }
  | { readonly kind: 'none' }
  | WrongEpoch
  | Broken

/** A dirty window, to be produced; final when it is closed. */
export function readWindow(project: ProjectState, { epoch: number, name }: EmissionOf): ReadReply<WindowState> {
  const epoch = liveEpoch(project, number)
  return read(epoch, epoch?.dirty.has(name) === true ? epoch.windows.get(name) : undefined)
}

/** A closed session that was not emitted yet. */
export function readSession(project: ProjectState, { epoch: number, name }: EmissionOf): ReadReply<SessionState> {
  const epoch = liveEpoch(project, number)
  return read(epoch, epoch?.dirtySessions.has(name) === true ? epoch.sessions.get(name) : undefined)
}

/** The log has the value of `revision`: the window waits no longer, unless it has changed. */
export function confirmWindow(
  project: ProjectState,
  { epoch: number, name, revision }: EmissionOf & { readonly revision: number }
): Step<{ readonly kind: 'ok' } | WrongEpoch> {
  const epoch = liveEpoch(project, number)
  if (epoch === undefined) return { project, reply: { kind: 'epoch' } }
  const held = epoch.windows.get(name)
  if (held !== undefined && revisionOf(held) !== revision) return { project, reply: { kind: 'ok' } }
  return { project: withEpoch(project, number, { ...epoch, dirty: less(epoch.dirty, name) }), reply: { kind: 'ok' } }
}

/** As `confirmWindow`, for a session. */
export function confirmSession(
  project: ProjectState,
  { epoch: number, name, revision }: EmissionOf & { readonly revision: number }
): Step<{ readonly kind: 'ok' } | WrongEpoch> {
  const epoch = liveEpoch(project, number)
  if (epoch === undefined) return { project, reply: { kind: 'epoch' } }
  const held = epoch.sessions.get(name)
  if (held !== undefined && revisionOf(held) !== revision) return { project, reply: { kind: 'ok' } }
  const dirtySessions = less(epoch.dirtySessions, name)
  return { project: withEpoch(project, number, { ...epoch, dirtySessions }), reply: { kind: 'ok' } }
}

function read<V extends { readonly events: number; readonly closed: boolean }>(
  epoch: EpochState | undefined,
  value: V | undefined
): ReadReply<V> {
  if (epoch === undefined) return { kind: 'epoch' }
  if (epoch.torn !== undefined) return { kind: 'broken', torn: epoch.torn }
  return value === undefined ? { kind: 'none' } : { kind: 'value', revision: revisionOf(value), value }
}

function less(names: ReadonlySet<string>, name: string): ReadonlySet<string> {
  const kept = new Set(names)
  kept.delete(name)
  return kept
}
