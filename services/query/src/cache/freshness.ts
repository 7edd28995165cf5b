// How long an answer is good. Pure.

/** Times of the cache, ms. */
export interface CacheTimes {
  /** An answer over a time that still goes on. */
  readonly freshOpenMs: number
  /** An answer over a time that is over; events may still arrive late. */
  readonly freshClosedMs: number
  /** Beyond its fresh time an answer over a time that goes on may stand in for one that cannot be had. */
  readonly staleOpenMs: number
  /** Nothing is kept longer. */
  readonly ttlMs: number
  /** A mistake of a query. */
  readonly mistakeMs: number
}

/** What is kept: an answer over a time that is over or goes on, or a mistake of the query that it will make again. */
export type Kept = 'closed' | 'open' | 'mistake'

/** Events of a time that ended longer ago than this are counted as all there, though some may come later still. */
export const settledMs = 3_600_000

/** How an answer over events up to `untilMs` is kept. */
export function keptUntil(untilMs: number, nowMs: number): 'closed' | 'open' {
  return untilMs + settledMs <= nowMs ? 'closed' : 'open'
}

/** When an answer made at `madeAtMs` stops to be fresh, and to be of use at all. */
export function untilOf(
  kept: Kept,
  madeAtMs: number,
  times: CacheTimes
): { freshUntilMs: number; staleUntilMs: number } {
  const { freshOpenMs, freshClosedMs, staleOpenMs, ttlMs, mistakeMs } = times
  const end = madeAtMs + ttlMs
  const within = (ms: number): number => Math.min(end, madeAtMs + ms)
  switch (kept) {
    case 'closed':
      return { freshUntilMs: within(freshClosedMs), staleUntilMs: end }
    case 'open':
      return { freshUntilMs: within(freshOpenMs), staleUntilMs: within(freshOpenMs + staleOpenMs) }
    case 'mistake':
      return { freshUntilMs: within(mistakeMs), staleUntilMs: within(mistakeMs) }
  }
}

/**
 * Whether this reader should make the answer anew before it is over. The nearer the end and the dearer the answer, the
 * likelier, so that of many readers one does it in time (XFetch: Vattani, Chierichetti, Lowenstein, "Optimal
 * Probabilistic Cache Stampede Prevention", VLDB 2015, with beta = 1). `random` is in [0, 1).
 */
export function isRefreshDue(
  { costMs, freshUntilMs }: { readonly costMs: number; readonly freshUntilMs: number },
  nowMs: number,
  random: number
): boolean {
  return nowMs - costMs * Math.log(1 - random) >= freshUntilMs
}
