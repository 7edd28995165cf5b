// A record of the processed topic read back, as far as it is shown live. Addresses and user agents are never taken.
import { isUtf8 } from 'node:buffer'

/** Header of a processed record that was made again by a replay: it was shown when it was new. */
export const replayHeader = 'replay'

const shownTexts = [
  'eventId',
  'eventType',
  'timestamp',
  'receivedAt',
  'path',
  'trafficSource',
  'deviceType',
  'os',
  'browser',
  'country',
  'userId',
  'anonymousId',
  'sessionId',
  'url',
  'referrer',
  'title',
  'properties'
] as const

/** Texts of the row (columns.ts); times are ISO 8601, `properties` is JSON text. */
export type ProcessedEvent = Readonly<Record<(typeof shownTexts)[number], string>> & { readonly isBot: boolean }

/** The event in the value of a processed record; undefined for anything else. */
export function readProcessedEvent(value: Buffer | null): ProcessedEvent | undefined {
  if (value === null || !isUtf8(value)) return undefined
  let row: unknown
  try {
    row = JSON.parse(value.toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof row !== 'object' || row === null) return undefined
  const fields = row as Readonly<Record<string, unknown>>
  const event: Record<string, string | boolean> = { isBot: fields['isBot'] === true }
  for (const name of shownTexts) {
    const text = fields[name]
    if (typeof text !== 'string') return undefined
    event[name] = text
  }
  // Every text was just put there.
  return event as ProcessedEvent
}
