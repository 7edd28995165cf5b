// What is promised to clients that keep sending says nothing of a client that a busy machine kept from it.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The longest time of this process that says nothing against a result, and what a longer one explains. */
export interface StallOptions<T> {
  readonly limitMs: number
  /** Whether the result may come of a client that stood still; one that cannot is the result, whatever the client did. */
  explained(result: T): boolean
  /** Is told of each result that does not count; without it the console is. */
  readonly log?: (line: string) => void
}

/**
 * The result of the first of at most three runs of `attempt` during which this process never stood still for `limitMs`
 * or more, or whose result that does not explain; of the last run when there is none.
 */
export async function withoutStall<T>(
  { limitMs, explained, log = console.warn }: StallOptions<T>,
  attempt: () => Promise<T>
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const { result, stoodMs } = await watched(attempt)
    if (stoodMs < limitMs || tries === 3 || !explained(result)) return result
    log(`run ${tries} does not count, since this process stood still for ${stoodMs} ms: ${JSON.stringify(result)}`)
  }
}

async function watched<T>(attempt: () => Promise<T>): Promise<{ readonly result: T; readonly stoodMs: number }> {
  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  try {
    const result = await attempt()
    return { result, stoodMs: Math.round(delays.max / 1e6) }
  } finally {
    delays.disable()
  }
}

/**
 * Whether there is no other outcome than `expected` and the ends of connections that had rested for too long: what a client
 * makes that stood still. `outcomes` are HTTP statuses and codes of errors.
 */
export function onlyRestedTooLong(outcomes: Readonly<Record<string, number>>, expected: readonly string[]): boolean {
  return Object.keys(outcomes).every((each) => [...expected, 'ECONNRESET', 'EPIPE'].includes(each))
}
