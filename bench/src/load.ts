// Closed-loop HTTP load: every connection sends its next request when its last one was answered.
import autocannon from 'autocannon'
import type { LoadResult } from './harness.ts'

export interface HttpLoadOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
  /** The status that counts as done. */
  readonly expectedStatus: number
  /** Gives the next `count` bodies; asked before the clock starts. */
  readonly bodies: (count: number) => readonly Buffer[]
  /** Bodies to have ready per second of load; what exceeds them is rendered as it goes. */
  readonly bodiesPerSecond: number
  /** At most so many requests a second over all connections; latency counts from when each was due. */
  readonly perSecond?: number
  /** Events in a body; 1 when absent. */
  readonly eventsPerBody?: number
  /** Looks at each answer of the expected status; false makes it a failure. */
  readonly isRight?: (body: string) => boolean
}

/** Loads `url` for `ms` and counts the answers. */
export async function driveHttp(options: HttpLoadOptions, ms: number): Promise<LoadResult> {
  const { url, headers, connections, expectedStatus, bodies, bodiesPerSecond, isRight } = options
  let ready = bodies(Math.ceil((bodiesPerSecond * ms) / 1_000))
  let next = 0
  const nextBody = (): Buffer => {
    if (next >= ready.length) {
      ready = bodies(Math.ceil(bodiesPerSecond / 10))
      next = 0
    }
    // The index is below the length, so the body exists.
    return ready[next++] as Buffer
  }
  let wrong = 0
  const look = (status: number, body: string): void => {
    if (status === expectedStatus && isRight?.(body) === false) wrong++
  }
  const result = await autocannon({
    url,
    connections,
    duration: ms / 1_000,
    timeout: 20,
    ...(options.perSecond === undefined ? undefined : { overallRate: options.perSecond }),
    requests: [
      {
        method: 'POST',
        headers: { ...headers },
        setupRequest: (request) => ({ ...request, body: nextBody() }),
        ...(isRight === undefined ? undefined : { onResponse: look })
      }
    ]
  })
  const answered = result.statusCodeStats?.[`${expectedStatus}`]?.count ?? 0
  const all = Object.values(result.statusCodeStats ?? {}).reduce((sum, { count = 0 }) => sum + count, 0)
  return {
    events: answered * (options.eventsPerBody ?? 1),
    failures: all - answered + wrong + result.errors + result.timeouts,
    latencyMs: { p50: result.latency.p50, p99: result.latency.p99 }
  }
}
