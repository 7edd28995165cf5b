// The most frequent keys of a stream in fixed memory: Space-Saving, Metwally, Agrawal, El Abbadi, "Efficient Computation
// of Frequent and Top-k Elements in Data Streams" (2005). With m counters and n events so far: a count is never too low,
// and too high by at most its `error`, which is at most n / m; every key that came more than n / m times is there.

export interface CountedKey {
  readonly key: string
  /** Events of this key at most. */
  readonly count: number
  /** By how much `count` may be too high: `count - error` events there were for sure. */
  readonly error: number
}

/** A sketch at one moment, as plain data. */
export interface SketchView {
  /** Events seen. */
  readonly total: number
  /** Events that a key which is not listed had at most. */
  readonly unseen: number
  /** Most frequent first. */
  readonly keys: readonly CountedKey[]
}

export interface SpaceSaving {
  add(key: string): void
  view(): SketchView
}

/** A sketch of `capacity` counters. */
export function createSpaceSaving(capacity: number): SpaceSaving {
  const places = new Map<string, number>()
  const keys: string[] = []
  const counts = new Float64Array(capacity)
  const errors = new Float64Array(capacity)
  let total = 0

  // A few dozen counters side by side in memory: looking at all of them is faster than keeping them in order.
  const smallest = (): number => {
    let place = 0
    for (let at = 1; at < capacity; at++) if (counts[at]! < counts[place]!) place = at
    return place
  }

  return {
    add: (key) => {
      total++
      const known = places.get(key)
      if (known !== undefined) {
        counts[known]!++
        return
      }
      if (keys.length < capacity) {
        places.set(key, keys.length)
        counts[keys.length] = 1
        keys.push(key)
        return
      }
      const place = smallest()
      places.delete(keys[place]!)
      places.set(key, place)
      keys[place] = key
      errors[place] = counts[place]!
      counts[place]!++
    },
    view: () => ({
      total,
      unseen: keys.length < capacity ? 0 : counts[smallest()]!,
      keys: keys.map((key, at) => ({ key, count: counts[at]!, error: errors[at]! })).toSorted(byCount)
    })
  }
}

/**
 * One view of several streams, with the bounds that hold for their union (Agarwal and others, "Mergeable Summaries",
 * 2012): a key that one of them does not list may have had its `unseen` there.
 */
export function mergeViews(views: readonly SketchView[], capacity: number): SketchView {
  const unseen = sum(views, (view) => view.unseen)
  const merged = new Map<string, { count: number; error: number; known: number }>()
  for (const view of views) {
    for (const { key, count, error } of view.keys) {
      const entry = merged.get(key) ?? { count: 0, error: 0, known: 0 }
      entry.count += count
      entry.error += error
      entry.known += view.unseen
      merged.set(key, entry)
    }
  }
  const keys = [...merged]
    .map(([key, { count, error, known }]) => ({
      key,
      count: count + unseen - known,
      error: error + unseen - known
    }))
    .toSorted(byCount)
  return {
    total: sum(views, (view) => view.total),
    unseen: Math.max(unseen, keys[capacity]?.count ?? 0),
    keys: keys.slice(0, capacity)
  }
}

function byCount(left: CountedKey, right: CountedKey): number {
  return right.count - left.count || (left.key < right.key ? -1 : 1)
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
