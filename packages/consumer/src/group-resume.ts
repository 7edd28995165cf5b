// A consumer that stopped because of too many dead letters goes on when somebody said so after it stopped. How long ago that
// was is told by the desk, by its own clock; a stopped consumer asks again and again, so that no order is lost.
import { AppError, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Consumer, ConsumerDeps } from './definition.ts'
import type { GroupDesk } from './replay-order.ts'

/** Who is asked, for which group. */
export interface ResumeDesk {
  readonly group: string
  readonly resumedAgoMs: GroupDesk['resumedAgoMs']
  readonly askEveryMs: number
}

type StoppedConsumer = Pick<Consumer, 'stopped' | 'resume'>
type ResumeDeps = { readonly clock: Clock; readonly log: ConsumerDeps['log'] }

const limitMs = 3_000

/** Asks once, and only while `consumer` is stopped. A desk that does not answer changes nothing. */
export async function resumeWhenTold(
  consumer: StoppedConsumer,
  { group, resumedAgoMs }: Omit<ResumeDesk, 'askEveryMs'>,
  { clock, log }: ResumeDeps
): Promise<void> {
  const storm = consumer.stopped()
  if (storm === undefined) return
  // Before the question: an answer that takes its time must not make an old order a new one.
  const askedAtMs = clock.monotonic()
  try {
    const agoMs = await withDeadline(resumedAgoMs(), limitMs, clock, `orders of ${group}`)
    if (agoMs === undefined || askedAtMs - agoMs < storm.sinceMs) return
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return log.warn({ group, error: String(error) }, 'whether the group may go on is not known')
  }
  log.info({ group }, 'told to go on')
  consumer.resume()
}

/** Asks for a consumer that has no other desk, until `signal` aborts. Rejects for a bug alone. */
export async function keepResuming(
  consumer: StoppedConsumer,
  desk: ResumeDesk,
  { signal, ...deps }: ResumeDeps & { readonly signal: AbortSignal }
): Promise<void> {
  while (!signal.aborted) {
    await deps.clock.sleep(desk.askEveryMs, signal).catch(() => undefined)
    if (!signal.aborted) await resumeWhenTold(consumer, desk, deps)
  }
}
