// The client: turns calls into events and hands them to the outbox. Every event settles exactly once: its promise
// resolves when the event is stored, or rejects with a TrackError that says why that is not known.
import { toEventText, toPageContext } from './event.ts'
import type { EventContext, EventOptions } from './event.ts'
import { createIdentity, noIdentity } from './identity.ts'
import { resolveOptions } from './options.ts'
import type { ClientOptions } from './options.ts'
import { createOutbox } from './outbox.ts'
import type { Page } from './page.ts'
import { createSafeStorage } from './storage.ts'
import type { Receipt } from './track-error.ts'
import { createUuid7 } from './uuid.ts'

/** Free-form data of an event: anything that is JSON. */
export type Properties = Readonly<Record<string, unknown>>

export interface Client {
  /**
   * Something happened. Resolves when the event is stored, rejects with a TrackError otherwise; a promise that nobody
   * awaits is never an unhandled rejection.
   */
  track(eventType: string, properties?: Properties, options?: EventOptions): Promise<Receipt>
  /**
   * The person is known: sends an `identify` event with both ids, which links what was anonymous so far. A client that
   * remembers adds `userId` to all later events; one that does not needs `options.anonymousId` to link anything.
   */
  identify(userId: string, traits?: Properties, options?: EventOptions): Promise<Receipt>
  /** A page was seen: a `page_view` event with the address, title and referrer of the page, if there is one. */
  page(name?: string, properties?: Properties, options?: EventOptions): Promise<Receipt>
  /** The person has left: later events have another anonymous id, another session and no user. */
  reset(): void
  /** Sends what waits, at once; resolves when every event tracked so far has settled. Never rejects. */
  flush(): Promise<void>
  /**
   * Flushes and ends. After `timeoutMs` (default 10 s) what is left rejects as `kept` when it stands in storage, else
   * as `closed`. Later events reject as `closed`. Never rejects.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>
  /** Events that have not settled. */
  readonly pending: number
}

const library = { name: '@millrace/client', version: '0.1.0' }

/** A client for one project. TypeError or RangeError when an option is wrong; starts sending what storage holds. */
export function createClient(options: ClientOptions): Client {
  const settings = resolveOptions(options)
  const { runtime } = settings
  const newId = createUuid7(runtime)
  const storage = createSafeStorage(settings.storage)
  const identity = settings.remember
    ? createIdentity({ storage, key: settings.identityKey, now: runtime.now, newId })
    : noIdentity
  const outbox = createOutbox(settings, storage, newId())
  const place = createPlace(runtime.page)

  const track = (eventType: string, properties?: Properties, given: EventOptions = {}): Promise<Receipt> => {
    const eventId = given.eventId ?? newId()
    const timestamp = given.timestamp ?? new Date(runtime.now())
    const context = { ...place.context(), ...settings.context, ...given.context, library }
    const ids = { ...identity.current(), ...defined(given) }
    return outbox.add(eventId, toEventText({ ...ids, eventId, eventType, timestamp, properties, context }))
  }

  return {
    track,
    identify(userId, traits, given) {
      if (typeof userId === 'string' && userId !== '') identity.identify(userId)
      return track('identify', traits, { ...given, userId })
    },
    page(name, properties, given) {
      place.enter()
      return track('page_view', name === undefined ? properties : { name, ...properties }, given)
    },
    reset: identity.reset,
    flush: outbox.flush,
    close: ({ timeoutMs = 10_000 } = {}) => outbox.close(timeoutMs),
    get pending() {
      return outbox.pending
    }
  }
}

interface Place {
  /** A page is entered; it may be a view of an application whose document stays the same. */
  enter(): void
  context(): EventContext
}

/** Where the visitor is. Behind a second view of one document the referrer is the first view, not the outside. */
function createPlace(page: Page | undefined): Place {
  if (page === undefined) return { enter: () => {}, context: () => ({}) }
  let current: string | undefined
  let previous: string | undefined
  return {
    enter() {
      const { url } = page.visit()
      if (url !== current) previous = current
      current = url
    },
    context() {
      const visit = page.visit()
      return toPageContext({ ...visit, referrer: previous ?? visit.referrer })
    }
  }
}

/** The members that were really given: an undefined one must not hide what the client knows. */
function defined(given: EventOptions): EventOptions {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
