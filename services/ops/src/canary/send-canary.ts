// A canary event over the APIs that customers use: the gateway takes it, the live feed counts it, SQL finds it.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { CanaryDeps, CanaryFlight } from './canary.ts'
import { openLiveTotal } from './live-total.ts'

export interface CanaryKeys {
  readonly writeKey: string
  readonly secretKey: string
}

export interface SendCanaryDeps {
  readonly gatewayUrl: string
  readonly queryUrl: string
  readonly realtimeUrl: string
  /** Keys of the canary's project; asked for anew after a refusal. */
  readonly keys: (renewed: boolean) => Promise<CanaryKeys>
  readonly clock: Clock
}

const askEveryMs = 250

/** Creates the sender. */
export function createSendCanary(deps: SendCanaryDeps): CanaryDeps['send'] {
  let isRefused = false
  return async function send(eventId, signal): Promise<CanaryFlight> {
    const keys = await deps.keys(isRefused)
    isRefused = false
    // Before the event: the feed tells what changes after the snapshot.
    const total = await openLiveTotal({ url: deps.realtimeUrl, secretKey: keys.secretKey, signal }).catch(
      (error: unknown) => toFailure(error)
    )
    const accepted = post(deps, keys.writeKey, eventId, signal)
    accepted.catch((error: unknown) => {
      if (error instanceof AppError && error.details['status'] === 401) isRefused = true
    })
    const live = total instanceof AppError ? Promise.reject(total) : total.grown
    const sql = accepted.then(() => find(deps, keys.secretKey, eventId, signal))
    live.catch(() => undefined)
    sql.catch(() => undefined)
    return { accepted, live, sql }
  }
}

function toFailure(error: unknown): AppError {
  return error instanceof AppError
    ? error
    : new AppError('PIPE_DELIVERY', 'the live feed cannot be reached', { cause: error })
}

async function post(
  { gatewayUrl }: SendCanaryDeps,
  writeKey: string,
  eventId: string,
  signal: AbortSignal
): Promise<void> {
  const response = await fetch(`${gatewayUrl}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ eventId, eventType: 'canary', anonymousId: 'canary', sessionId: 'canary' }),
    signal
  })
  if (response.status === 202) return
  const details = { status: response.status }
  throw new AppError('PIPE_DELIVERY', `the gateway answered ${response.status}`, { details })
}

/** Asks until the event is there. An answer that fails is asked for again: only the end of the time is a miss. */
async function find(
  { queryUrl, clock }: SendCanaryDeps,
  secretKey: string,
  eventId: string,
  signal: AbortSignal
): Promise<void> {
  const request = {
    method: 'POST',
    headers: {
      authorization: `Bearer ${secretKey}`,
      'content-type': 'application/json',
      // An answer of before would hide it.
      'cache-control': 'no-store'
    },
    // The day keeps the question small.
    body: JSON.stringify({
      sql: `SELECT count() FROM events WHERE eventType = 'canary' AND eventId = '${eventId}' AND timestamp > now() - INTERVAL 1 HOUR`
    }),
    signal
  }
  for (;;) {
    const response = await fetch(`${queryUrl}/v1/query`, request).catch((error: unknown) => {
      if (signal.aborted) throw error
      return undefined
    })
    const answer =
      response?.ok === true ? ((await response.json()) as { rows: readonly (readonly unknown[])[] }) : undefined
    if (Number(answer?.rows[0]?.[0] ?? 0) > 0) return
    await clock.sleep(askEveryMs, signal)
  }
}
