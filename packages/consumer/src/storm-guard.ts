// Many dead letters at once are not bad data but a bad deployment: the group stops before it writes them, and the records
// wait for a version that can take them. Counts the letters and records of the last minute in slots of a second. Pure.

/** What a group may set aside. */
export interface StormLimits {
  /** Letters of one minute at most; 0 switches the guard off. */
  readonly perMinute: number
  /** Share of the records of one minute at most, 0 to 1; looked at from `leastLetters` letters on. */
  readonly share: number
  readonly leastLetters: number
}

/** Why a group stopped. */
export interface Storm {
  /** Letters of the last minute, those that were not written included. */
  readonly letters: number
  readonly records: number
  readonly limit: 'perMinute' | 'share'
  /** Monotonic time at which it stopped. */
  readonly sinceMs: number
}

export interface StormGuard {
  /** Records whose fate is known. */
  passed(records: number, nowMs: number): void
  /** Whether that many more letters may be written; they are counted if they may. */
  admit(letters: number, nowMs: number): Storm | undefined
  /** Forgets everything: somebody looked at it. */
  reset(): void
}

const slotMs = 1_000
const slots = 60

/** A guard that has seen nothing yet; times are monotonic milliseconds. */
export function createStormGuard({ perMinute, share, leastLetters }: StormLimits): StormGuard {
  const letters = createWindow()
  const records = createWindow()
  return {
    passed: (count, nowMs) => records.add(count, nowMs),
    admit(count, nowMs) {
      if (perMinute === 0 || count === 0) return undefined
      const dead = letters.sum(nowMs) + count
      // A letter is a record whose fate is not counted yet.
      const all = Math.max(records.sum(nowMs), dead)
      const limit = dead > perMinute ? 'perMinute' : dead >= leastLetters && dead > share * all ? 'share' : undefined
      if (limit !== undefined) return { letters: dead, records: all, limit, sinceMs: nowMs }
      letters.add(count, nowMs)
      return undefined
    },
    reset() {
      letters.clear()
      records.clear()
    }
  }
}

/** Sums over the last minute, to the second. */
function createWindow() {
  const counts = new Map<number, number>()
  return {
    add(count: number, nowMs: number): void {
      const slot = Math.floor(nowMs / slotMs)
      counts.set(slot, (counts.get(slot) ?? 0) + count)
    },
    sum(nowMs: number): number {
      const oldest = Math.floor(nowMs / slotMs) - slots
      let sum = 0
      for (const [slot, count] of counts) {
        if (slot <= oldest) counts.delete(slot)
        else sum += count
      }
      return sum
    },
    clear: (): void => counts.clear()
  }
}
