// What the client needs from where it runs. Everything else here is decided by values, so tests replace this alone.
import { browserPage } from './page.ts'
import type { Page } from './page.ts'

/** The part of a reply that is read. */
export interface Reply {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}

/** A request as the client makes them. */
export interface Request {
  readonly method: 'POST'
  readonly headers: Record<string, string>
  readonly body: string
  readonly signal: AbortSignal
}

/** Network, clock, timers and randomness. */
export interface Runtime {
  fetch(url: string, request: Request): Promise<Reply>
  /** Epoch milliseconds of the device's clock, which may be wrong or jump. */
  now(): number
  /** Milliseconds of a clock that never jumps. */
  elapsed(): number
  /** Runs `task` after `ms`, unless the returned call comes first. */
  startTimer(ms: number, task: () => void): () => void
  /** A number in [0, 1), for jitter. */
  random(): number
  /** Fills `bytes` with unpredictable ones. */
  fillRandom(bytes: Uint8Array<ArrayBuffer>): void
  /** The page around the client; undefined on a server. */
  readonly page?: Page | undefined
}

/** The runtime of Node (20 or newer) and of browsers. */
export function createSystemRuntime(): Runtime {
  return {
    fetch: (url, request) => fetch(url, request),
    now: () => Date.now(),
    elapsed: () => performance.now(),
    startTimer(ms, task) {
      const timer = setTimeout(task, ms)
      return () => clearTimeout(timer)
    },
    random: () => Math.random(),
    fillRandom: (bytes) => void crypto.getRandomValues(bytes),
    page: browserPage(globalThis)
  }
}
