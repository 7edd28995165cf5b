// Event ids: UUIDs of version 7 (RFC 9562). They sort by time, and the time inside them is the event's time of last
// resort, so an id made now must not claim to be from another day.

const counterBits = 12
/** Ids of one millisecond start below this and count up, so that they keep their order. */
const counterStart = 1 << (counterBits - 1)
/** A clock that jumps back further than this was wrong before; the ids follow it. */
const maxJumpMs = 10_000

export interface UuidSource {
  now(): number
  fillRandom(bytes: Uint8Array<ArrayBuffer>): void
}

/** Makes ids that grow strictly while the clock does not jump back by more than 10 s. */
export function createUuid7({ now, fillRandom }: UuidSource): () => string {
  const bytes = new Uint8Array(10)
  let last = -Infinity
  let counter = 0
  return () => {
    fillRandom(bytes)
    const time = Math.floor(now())
    if (time > last || time < last - maxJumpMs) {
      last = time
      counter = word(bytes, 8) % counterStart
    } else if (++counter >= 1 << counterBits) {
      last++
      counter = 0
    }
    const hex = last.toString(16).padStart(12, '0')
    const tail = [...bytes.subarray(2, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    const variant = 0x8000 | (word(bytes, 0) & 0x3fff)
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant.toString(16)}-${tail}`
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
