// A token bucket as one number: the time at which it is full again. That is the virtual scheduling form of the generic
// cell rate algorithm (ITU-T I.371): nothing has to be refilled, and a bucket that is full need not exist.
import type { EventRate } from '@millrace/contracts'

/** Whole tokens in the bucket that is full at `fullAtMs`; negative while it is in debt. Times share one clock. */
export function tokensAt(fullAtMs: number, { eventsPerSecond, burst }: EventRate, nowMs: number): number {
  // The smallest part of a token that arithmetic may lose must not cost a whole one.
  return Math.floor(burst - (Math.max(0, fullAtMs - nowMs) * eventsPerSecond) / 1_000 + 1e-6)
}

/** When the bucket is full again after `count` tokens were taken; it may go into debt. */
export function afterTaking(fullAtMs: number, count: number, { eventsPerSecond }: EventRate, nowMs: number): number {
  return Math.max(fullAtMs, nowMs) + (count * 1_000) / eventsPerSecond
}

/** Milliseconds until `count` tokens are there, or as many as the bucket holds if that is less. */
export function waitForMs(
  fullAtMs: number,
  count: number,
  { eventsPerSecond, burst }: EventRate,
  nowMs: number
): number {
  const missing = burst - Math.min(count, burst)
  return Math.max(0, Math.ceil(fullAtMs - nowMs - (missing * 1_000) / eventsPerSecond))
}
