// Things that happen one after the other: the newest are kept for those who join, and the new ones of a tick are sent
// together. When more happens than can be shown the rest is left out and told as a number.
import type { Feed, FeedEvents } from '../feed.ts'

export interface RecentOptions {
  /** Things a snapshot shows at most. */
  readonly keep: number
  /** Things that wait for the next tick at most. */
  readonly maxPending: number
  readonly onSkipped: (count: number) => void
}

export interface RecentFeed extends Feed {
  /**
   * Adds one thing, made JSON text by `render` when there is room for it in this tick; with a key it takes the place of
   * an earlier one of that key.
   */
  add(render: () => string, key?: string): void
}

/** An empty RecentFeed; `close` ends what fills it. */
export function createRecentFeed(
  options: RecentOptions,
  events: Pick<FeedEvents, 'changed'>,
  close: () => void
): RecentFeed {
  const { keep, maxPending, onSkipped } = options
  const recent = new Map<string | symbol, string>()
  let pending: string[] = []
  let skipped = 0
  return {
    add(render, key) {
      if (pending.length >= maxPending) {
        skipped++
        onSkipped(1)
        return
      }
      const json = render()
      const place = key ?? Symbol('event')
      recent.delete(place)
      recent.set(place, json)
      for (const oldest of recent.keys()) {
        if (recent.size <= keep) break
        recent.delete(oldest)
      }
      pending.push(json)
      events.changed()
    },
    snapshot: () => `[${[...recent.values()].join(',')}]`,
    takeChanges() {
      if (pending.length === 0) return undefined
      const text = `"data":[${pending.join(',')}]${skipped === 0 ? '' : `,"skipped":${skipped}`}`
      pending = []
      skipped = 0
      return text
    },
    [Symbol.dispose]: close
  }
}
