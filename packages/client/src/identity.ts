// Who the events are about, for a client that speaks for one person: a random anonymous id, the user once known, and a
// session that ends after half an hour without an event. Kept in storage when there is one, shared by its tabs.
import { membersOf, parseJson } from './json.ts'
import type { SafeStorage } from './storage.ts'

/** The ids that the client adds to an event. */
export interface Ids {
  readonly anonymousId?: string | undefined
  readonly userId?: string | undefined
  readonly sessionId?: string | undefined
}

export interface Identity {
  /** The ids of an event that happens now; counts as activity of the session. */
  current(): Ids
  /** The person is known from now on. */
  identify(userId: string): void
  /** The person has left: another anonymous id, no user, another session. */
  reset(): void
}

export interface IdentityDeps {
  readonly storage: SafeStorage
  readonly key: string
  readonly now: () => number
  readonly newId: () => string
}

const sessionIdleMs = 30 * 60_000
/** The time of the last event is written this often at most; a session may end that much early after a restart. */
const writeEveryMs = 10_000

interface State extends Ids {
  readonly seenAt: number
}

/** An identity that remembers. */
export function createIdentity({ storage, key, now, newId }: IdentityDeps): Identity {
  let state: State = { seenAt: 0 }
  let writtenAt = 0
  // What storage did not take must not be undone by what it still holds.
  let shared = true

  const write = (next: State): void => {
    state = next
    writtenAt = next.seenAt
    shared = storage.write(key, JSON.stringify(next))
  }
  const load = (): void => {
    const saved = shared ? readState(storage.read(key)) : undefined
    if (saved !== undefined) state = { ...saved, seenAt: Math.max(saved.seenAt, state.seenAt) }
  }
  const touch = (): State => {
    load()
    const seenAt = now()
    const idle = state.sessionId === undefined || Math.abs(seenAt - state.seenAt) > sessionIdleMs
    const isNew = idle || state.anonymousId === undefined
    const next = {
      anonymousId: state.anonymousId ?? newId(),
      userId: state.userId,
      sessionId: idle ? newId() : state.sessionId,
      seenAt
    }
    if (isNew || Math.abs(seenAt - writtenAt) >= writeEveryMs) write(next)
    else state = next
    return next
  }

  return {
    current: () => {
      const { seenAt: _, ...ids } = touch()
      return ids
    },
    identify: (userId) => write({ ...touch(), userId }),
    reset: () => write({ anonymousId: newId(), sessionId: newId(), seenAt: now() })
  }
}

/** For a client that speaks for many: each event names its own person. */
export const noIdentity: Identity = { current: () => ({}), identify: () => {}, reset: () => {} }

function readState(text: string | undefined): State | undefined {
  const saved = membersOf(parseJson(text ?? ''))
  const id = (name: string): string | undefined => {
    const value = saved[name]
    return typeof value === 'string' && value.length > 0 && value.length <= 255 ? value : undefined
  }
  const seenAt = saved['seenAt']
  if (typeof seenAt !== 'number') return undefined
  return { anonymousId: id('anonymousId'), userId: id('userId'), sessionId: id('sessionId'), seenAt }
}
