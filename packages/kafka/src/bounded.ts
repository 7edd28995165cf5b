// Ends of waiting for a client that may never answer.
import type { Clock } from '@millrace/kernel'

/**
 * The value of `work`, or undefined after `ms`. Work that is given up on goes on alone; its failure is then nobody's.
 * A failure within the time is thrown.
 */
export async function within<T>(work: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  using _timer = clock.timer(Math.max(0, ms), () => resolve(undefined))
  work.catch(() => undefined)
  return await Promise.race([work, promise])
}
