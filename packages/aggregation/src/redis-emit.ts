// Emission on Redis: names that wait, their values and revisions in one script, and the confirmation after the ack.
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { confirmSessionsLua, confirmWindowsLua, dirtyLua, dirtySessionsLua, dirtyWindowsLua } from './emit-lua.ts'
import { pointerKey } from './keys.ts'
import { partsOf, toRefused, unknownReply } from './script-replies.ts'
import type { Refused } from './script-replies.ts'
import { toHeldSession } from './session-record.ts'
import type { HeldSession } from './session-record.ts'
import type { WrongEpoch } from './state.ts'
import { toWindowValue } from './window-value.ts'
import type { WindowValue } from './window-value.ts'
import { revisionOf } from './windows.ts'

/** Names that wait, oldest start first; sessions by their last event. */
export type DirtyReply = { readonly kind: 'names'; readonly names: readonly string[] } | Refused

/** A closed session, to be produced. */
export interface SessionValue extends HeldSession {
  readonly sessionId: string
  readonly revision: number
}

/** Values of those that still wait, in the order asked for; a name that waits no more is left out. */
export type ValuesReply<V> = { readonly kind: 'values'; readonly values: readonly V[] } | Refused

/** The log has the value of this revision. */
export interface Emitted {
  readonly name: string
  readonly revision: number
}

export type ConfirmReply = { readonly kind: 'ok' } | WrongEpoch

/** At most `maxNames` names a call. All throw PIPE_REDIS_UNAVAILABLE and PIPE_REDIS_REFUSED; all may be repeated. */
export interface RedisEmit {
  /** `offset` names are passed over, so that those which change all the time hold up nobody. */
  dirty(project: string, epoch: number, limit: number, offset?: number): Promise<DirtyReply>
  /** Closed windows are final, others provisional. */
  windows(project: string, epoch: number, names: readonly string[]): Promise<ValuesReply<WindowValue>>
  confirmWindows(project: string, epoch: number, emitted: readonly Emitted[]): Promise<ConfirmReply>
  dirtySessions(project: string, epoch: number, limit: number, offset?: number): Promise<DirtyReply>
  sessions(project: string, epoch: number, ids: readonly string[]): Promise<ValuesReply<SessionValue>>
  confirmSessions(project: string, epoch: number, emitted: readonly Emitted[]): Promise<ConfirmReply>
}

/** Most names of one call. */
export const maxNames = 1_000

/** Binds the scripts to `redis`. */
export function createRedisEmit(redis: Redis): RedisEmit {
  const dirty = defineScript(redis, dirtyLua, toNames)
  const windows = defineScript(redis, dirtyWindowsLua, (reply) => toValues(reply, toWindow))
  const sessions = defineScript(redis, dirtySessionsLua, (reply) => toValues(reply, toSession))
  const confirmWindows = defineScript(redis, confirmWindowsLua, toConfirmed)
  const confirmSessions = defineScript(redis, confirmSessionsLua, toConfirmed)
  const callOf = (project: string, epoch: number, args: object) => ({
    keys: [pointerKey(project)],
    args: [JSON.stringify({ e: String(epoch), ...args })]
  })
  const list =
    (index: string): RedisEmit['dirty'] =>
    (project, epoch, limit, offset = 0) =>
      dirty.run(callOf(project, epoch, { index, offset, limit: Math.min(limit, maxNames) }))
  const confirmed = (emitted: readonly Emitted[]): object => ({
    names: emitted.map(({ name }) => name),
    revisions: emitted.map(({ revision }) => revision)
  })
  return {
    dirty: list('dirty'),
    windows: (project, epoch, names) => windows.run(callOf(project, epoch, { names })),
    confirmWindows: (project, epoch, emitted) => confirmWindows.run(callOf(project, epoch, confirmed(emitted))),
    dirtySessions: list('dirty-sessions'),
    sessions: (project, epoch, names) => sessions.run(callOf(project, epoch, { names })),
    confirmSessions: (project, epoch, emitted) => confirmSessions.run(callOf(project, epoch, confirmed(emitted)))
  }
}

function toNames(reply: unknown): DirtyReply {
  const { kind, rest } = partsOf(reply)
  return kind === 'OK' ? { kind: 'names', names: rest[0] as readonly string[] } : toRefused(kind, rest[0])
}

function toValues<V>(reply: unknown, toValue: (entry: readonly unknown[]) => V | undefined): ValuesReply<V> {
  const { kind, rest } = partsOf(reply)
  if (kind !== 'OK') return toRefused(kind, rest[0])
  const values = (rest[0] as readonly (readonly unknown[])[]).flatMap((entry) => toValue(entry) ?? [])
  return { kind: 'values', values }
}

function toWindow([name, flat, uniques]: readonly unknown[]): WindowValue | undefined {
  return toWindowValue(String(name), flat as readonly string[], uniques as readonly unknown[])
}

function toSession([id, record]: readonly unknown[]): SessionValue {
  const session = toHeldSession(record)
  return { ...session, sessionId: String(id), revision: revisionOf(session) }
}

function toConfirmed(reply: unknown): ConfirmReply {
  const { kind } = partsOf(reply)
  if (kind === 'OK') return { kind: 'ok' }
  if (kind === 'EPOCH') return { kind: 'epoch' }
  throw unknownReply(kind)
}
