// Which partition a key belongs to: murmur2 as in the Java client, so that other producers put a key in the same place.

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/** 32-bit murmur2 of `data`, signed, equal to the Java client's. */
export function murmur2(data: Buffer): number {
  const { length } = data
  let hash = seed ^ length
  const words = length >> 2
  for (let word = 0; word < words; word++) {
    let k = Math.imul(data.readInt32LE(word * 4), multiplier)
    k ^= k >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(k, multiplier)
  }
  const tail = words * 4
  const left = length - tail
  if (left > 0) {
    if (left === 3) hash ^= data.readUInt8(tail + 2) << 16
    if (left >= 2) hash ^= data.readUInt8(tail + 1) << 8
    hash = Math.imul(hash ^ data.readUInt8(tail), multiplier)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

/** The partition of `key` among `count` partitions, 0 to `count - 1`. */
export function partitionFor(key: Buffer | string, count: number): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  return (murmur2(bytes) & 0x7fffffff) % count
}
