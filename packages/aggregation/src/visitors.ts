// Who a session belongs to, for the bounded filter that tells new visitors from returning ones. The filter is a hint: it
// depends on the order of arrival, may take a new visitor for a known one, and is in no reducer. Truth is the warehouse.
// It is a Bloom filter in layers, bit strings that the apply script reads and writes; a full layer is followed by one
// four times its size.
import type { EventRow } from '@millrace/contracts'

/** Visitors that the first layer takes; each next one takes four times as many. */
export const firstLayerVisitors = 16_384
/** Layers of one epoch; when all are full, unknown visitors are neither new nor returning. */
export const visitorLayers = 6
/** Bits of a layer for each visitor it takes. */
export const bitsPerVisitor = 16
/** Bits that one visitor sets. */
export const probesPerVisitor = 4

/** Two numbers of 32 bits for each visitor: of the user id, if there is one, and then of the anonymous id. */
export function visitorsOf({ userId, anonymousId }: Pick<EventRow, 'userId' | 'anonymousId'>): readonly number[] {
  const numbers = userId === '' ? [] : hashOf(`u${userId}`)
  if (anonymousId === '') return numbers
  const more = hashOf(`a${anonymousId}`)
  return userId === '' ? more : [...numbers, ...more]
}

/** Two rounds of multiply and xor over the text; the second is odd, so that its multiples reach every bit. */
function hashOf(text: string): readonly [number, number] {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    a = Math.imul(a ^ code, 0x9e3779b1)
    b = Math.imul(b ^ code, 0x5f356495)
  }
  const first = mixed(a, b)
  return [first >>> 0, (mixed(b, first) | 1) >>> 0]
}

function mixed(a: number, b: number): number {
  const once = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  const twice = Math.imul(once ^ (once >>> 15), 0x2c1b3c6d)
  return twice ^ (twice >>> 12)
}
