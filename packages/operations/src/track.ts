// How fast an offset rises: its values over the last minute. A consumer that commits in steps has no steady pace in a
// shorter time.

/** A number that rises, over the last minute. */
export interface Track {
  add(value: bigint, atMs: number): void
  /** Per second; 0 with one sample. A number that fell starts anew. */
  rate(): number
}

const trackMs = 60_000

/** A track without values. */
export function createTrack(): Track {
  let seen: { readonly value: bigint; readonly atMs: number }[] = []
  return {
    add(value, atMs) {
      const last = seen.at(-1)
      if (last !== undefined && value < last.value) seen = []
      seen.push({ value, atMs })
      while (seen.length > 2 && atMs - (seen[1]?.atMs ?? atMs) >= trackMs) seen.shift()
    },
    rate() {
      const [first, last] = [seen[0], seen.at(-1)]
      if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0
      return (Number(last.value - first.value) * 1_000) / (last.atMs - first.atMs)
    }
  }
}
