// Single flight: equal work that is under way is joined, not repeated. Whoever goes away leaves the others alone; when the
// last one has gone the work is aborted.

/** What those who share a result have to do with it. */
export interface Sharing<T> {
  /** Each who waits is about to get it. */
  readonly onShare: (result: T) => void
  /** Everybody who waited has got it, or nobody waits any more. */
  readonly onEnd: (result: T) => void
}

export type Work<T> = (signal: AbortSignal, onBegun: () => void) => Promise<T>

/** Work by key. */
export interface Flights<T> {
  /**
   * The result of `work`, or of the same key's that runs already; what it throws goes to all who wait. Throws the reason
   * of `signal` when it aborts first. Work calls `onBegun` when what happens later makes no difference to it any more.
   */
  join(key: string, signal: AbortSignal, work: Work<T>): Promise<T>
  /** Whether there is work to join that has called `onBegun`. */
  hasBegun(key: string): boolean
  /** Runs `work` behind, unless the key's runs; nobody waits for it, and nobody aborts it. Must not reject. */
  behind(key: string, work: () => Promise<T>): void
  readonly size: number
}

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiters: number
  readonly hasBegun: () => boolean
  /** Set when the result is there, until everybody has got it. */
  end: (() => void) | undefined
}

/** No flights. */
export function createFlights<T>(sharing?: Sharing<T>): Flights<T> {
  const flights = new Map<string, Flight<T>>()
  const start = (key: string, work: Work<T>): Flight<T> => {
    const controller = new AbortController()
    let hasBegun = false
    const result = work(controller.signal, () => void (hasBegun = true))
    const flight: Flight<T> = { result, controller, waiters: 0, hasBegun: () => hasBegun, end: undefined }
    flights.set(key, flight)
    const land = (): void => {
      if (flights.get(key) === flight) flights.delete(key)
    }
    // Before those who wait are told.
    flight.result.then((result) => {
      land()
      flight.end = () => sharing?.onEnd(result)
      if (flight.waiters === 0) flight.end()
    }, land)
    return flight
  }
  return {
    async join(key, signal, work) {
      signal.throwIfAborted()
      const flight = flights.get(key) ?? start(key, work)
      flight.waiters++
      const { promise: gone, reject } = Promise.withResolvers<never>()
      const onAbort = (): void => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        const result = await Promise.race([flight.result, gone])
        sharing?.onShare(result)
        return result
      } finally {
        signal.removeEventListener('abort', onAbort)
        if (--flight.waiters === 0 && flight.end !== undefined) flight.end()
        else if (flight.waiters === 0 && signal.aborted) {
          // Nobody may join what is being given up.
          if (flights.get(key) === flight) flights.delete(key)
          flight.controller.abort(signal.reason)
        }
      }
    },
    behind(key, work) {
      if (flights.has(key)) return
      // It counts as one that waits, so that nobody who joins and leaves ends it.
      start(key, work).waiters++
    },
    hasBegun: (key) => flights.get(key)?.hasBegun() === true,
    get size() {
      return flights.size
    }
  }
}
