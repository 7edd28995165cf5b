// What a ticket of the live feed permits, as it is kept between the request for it and the connection.

export const liveKinds = ['metrics', 'sessions', 'events'] as const
export type LiveKind = (typeof liveKinds)[number]

export interface LiveGrant {
  readonly projectId: string
  /** What may be subscribed to. */
  readonly allow: readonly LiveKind[]
  /** Whether the feeds show what tells a person; by the settings of the project when the ticket was made. */
  readonly personal: boolean
  /** Origins whose pages may use it. */
  readonly origins: readonly string[]
  /** The key that asked for it: a connection ends with its key. None for the page of a local demo. */
  readonly keyId?: string
}

/** The grant as text. */
export function encodeLiveGrant(grant: LiveGrant): string {
  return JSON.stringify(grant)
}

/** The grant in a text of `encodeLiveGrant`; undefined for anything else. */
export function decodeLiveGrant(text: string): LiveGrant | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { projectId, allow, personal, origins, keyId } = value as Readonly<Record<string, unknown>>
  if (typeof projectId !== 'string' || typeof personal !== 'boolean' || !isTexts(origins)) return undefined
  if (!isTexts(allow)) return undefined
  const key = typeof keyId === 'string' ? { keyId } : {}
  return { projectId, personal, origins, allow: liveKinds.filter((kind) => allow.includes(kind)), ...key }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}
