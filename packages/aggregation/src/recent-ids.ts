// Digests that one partition counted lately, so that most copies are known before Redis is asked. A hint only: what is
// left out by it is named to the script, which looks it up.

export interface RecentIds {
  has(digest: string): boolean
  add(digests: Iterable<string>): void
  clear(): void
}

/** Remembers at least the last `size` digests and at most twice as many. */
export function createRecentIds(size: number): RecentIds {
  let young = new Set<string>()
  let old = new Set<string>()
  return {
    has: (digest) => young.has(digest) || old.has(digest),
    add(digests) {
      for (const digest of digests) {
        if (young.size >= size) {
          old = young
          young = new Set()
        }
        young.add(digest)
      }
    },
    clear() {
      young = new Set()
      old = new Set()
    }
  }
}
