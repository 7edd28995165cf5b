// The id that a refused event claims to have, so that its item in the reply can be told from the others.
const maxBytes = 256 * 1024
const maxIdLength = 128

/** The `eventId` in the bytes of one event, as far as there is one; only for events that were refused. */
export function claimedId(body: Buffer): string | undefined {
  if (body.length > maxBytes) return undefined
  try {
    // oxlint-disable-next-line no-restricted-properties -- the event was refused; only its id is given back to its sender
    const value: unknown = JSON.parse(body.toString('utf8'))
    if (typeof value !== 'object' || value === null || !('eventId' in value)) return undefined
    const { eventId } = value
    return typeof eventId === 'string' && eventId.length <= maxIdLength ? eventId : undefined
  } catch {
    return undefined
  }
}
