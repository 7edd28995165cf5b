// Alerts to where people look: the log, always, and a webhook when there is one. One that does not answer is tried again a
// few times and then given up, counted: the next change is sent all the same.
import type { Clock } from '@millrace/kernel'
import { errorFields } from '@millrace/service'
import type { Logger } from '@millrace/observability'
import type { Alert, AlertChanges } from './alerts.ts'

export interface DeliveryDeps {
  /** Posts a body; absent: there is no webhook. */
  readonly post?: ((body: string) => Promise<void>) | undefined
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock: Clock
  readonly signal: AbortSignal
  /** What became of a message. */
  readonly onDelivery: (outcome: 'delivered' | 'retried' | 'given-up') => void
}

/** Waits between the attempts. */
const retryAfterMs = [1_000, 4_000, 16_000] as const
const maxWaiting = 100

/** Creates the sender; it keeps the order and never throws. */
export function createAlertDelivery(deps: DeliveryDeps): (changes: AlertChanges) => void {
  const { post, log } = deps
  let waiting = 0
  let sending: Promise<void> = Promise.resolve()
  const enqueue = (status: 'raised' | 'cleared', alert: Alert): void => {
    if (post === undefined) return
    if (waiting >= maxWaiting) return deps.onDelivery('given-up')
    waiting++
    const body = JSON.stringify({ status, ...alert, since: new Date(alert.sinceMs).toISOString() })
    sending = sending.then(() => deliver(deps, post, body)).finally(() => waiting--)
  }
  return ({ raised, cleared }) => {
    for (const alert of raised) {
      log.error({ ...alert }, 'alert raised')
      enqueue('raised', alert)
    }
    for (const alert of cleared) {
      log.info({ ...alert }, 'alert cleared')
      enqueue('cleared', alert)
    }
  }
}

async function deliver(deps: DeliveryDeps, post: (body: string) => Promise<void>, body: string): Promise<void> {
  const { log, clock, signal, onDelivery } = deps
  for (const waitMs of [...retryAfterMs, undefined]) {
    if (signal.aborted) return
    try {
      await post(body)
      return onDelivery('delivered')
    } catch (error) {
      const isLast = waitMs === undefined
      onDelivery(isLast ? 'given-up' : 'retried')
      log.warn({ ...errorFields(error), isLast }, 'the webhook for alerts did not take a message')
      if (isLast) return
      await clock.sleep(waitMs, signal).catch(() => {})
    }
  }
}
