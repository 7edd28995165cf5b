// An event as text, from the moment it is tracked: what the caller changes later in its objects changes nothing.
import type { Visit } from './page.ts'

/** What a caller may say about an event besides its type and properties. What is left out, the client fills in. */
export interface EventOptions {
  /** The idempotency key; a UUIDv7 by default. The same id is stored once, whatever its content. */
  readonly eventId?: string | undefined
  /** When it happened; now by default. A text is ISO 8601. */
  readonly timestamp?: Date | string | undefined
  readonly userId?: string | undefined
  readonly anonymousId?: string | undefined
  readonly sessionId?: string | undefined
  readonly context?: EventContext | undefined
}

/** Where an event happened. */
export interface EventContext {
  readonly page?: { readonly url?: string; readonly path?: string; readonly referrer?: string; readonly title?: string }
  readonly campaign?: {
    readonly source?: string
    readonly medium?: string
    readonly name?: string
    readonly term?: string
    readonly content?: string
  }
  readonly userAgent?: string
  readonly ip?: string
  readonly locale?: string
  readonly library?: { readonly name?: string; readonly version?: string }
}

/** An event before it is text; undefined members are left out of it. */
export interface EventFields extends EventOptions {
  readonly eventId: string
  readonly timestamp: Date | string
  readonly eventType: string
  readonly properties: object | undefined
}

/** The JSON text of an event without `sentAt`; undefined when its values are not JSON. */
export function toEventText(fields: EventFields): string | undefined {
  try {
    return JSON.stringify(fields)
  } catch {
    return undefined
  }
}

/** Bytes that `sentAt` and the comma between two events add. */
export const sentAtBytes = 37

/** The text of an event that is sent at `sentAt`; the gateway uses it to correct a wrong clock. */
export function withSentAt(text: string, sentAt: string): string {
  return `${text.slice(0, -1)},"sentAt":"${sentAt}"}`
}

const campaignMembers = ['source', 'medium', 'campaign', 'term', 'content'] as const

/** The context that a page gives to its events: address, title, language, and the campaign in the address. */
export function toPageContext(visit: Visit): EventContext {
  const { url, path, title, referrer, search, locale } = visit
  const query = new URLSearchParams(search)
  const campaign = Object.fromEntries(
    campaignMembers.flatMap((member) => {
      const value = query.get(`utm_${member}`)
      return value ? [[member === 'campaign' ? 'name' : member, value.slice(0, 255)]] : []
    })
  )
  return {
    page: { url, path, title, ...(referrer === '' ? {} : { referrer }) },
    ...(Object.keys(campaign).length === 0 ? {} : { campaign }),
    ...(locale === undefined ? {} : { locale })
  }
}
