// Whether the log answers. Members of groups wait by themselves and say nothing of it, so this asks.
import { withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'

export interface KafkaWatchOptions {
  readonly admin: Pick<Admin, 'brokerCount'>
  readonly clock: Clock
  readonly everyMs: number
  readonly onChange: (isAway: boolean) => void
  readonly signal: AbortSignal
}

/** Asks again and again until the signal aborts; `onChange` is told of each change. */
export async function watchKafka({ admin, clock, everyMs, onChange, signal }: KafkaWatchOptions): Promise<void> {
  let away = false
  while (!signal.aborted) {
    const answered = await withDeadline(admin.brokerCount(), everyMs, clock, 'asking for brokers').then(
      () => true,
      () => false
    )
    if (away === answered && !signal.aborted) {
      away = !answered
      onChange(away)
    }
    await clock.sleep(everyMs, signal).catch(() => undefined)
  }
}
