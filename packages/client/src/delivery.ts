// The loop that sends what is queued, one request (or one round of single events) at a time.
//
// | state    | entered when                              | left when                                             |
// | -------- | ----------------------------------------- | ----------------------------------------------------- |
// | idle     | start; nothing is due                     | an event is added, or a timer fires: sending          |
// | sending  | something is due, online, and no pause    | the reply is judged: idle or paused                   |
// | paused   | a request failed as a whole               | its wait is over, or the network is back: idle        |
// | stopped  | stop()                                    | never                                                 |
import type { Entry, Queue } from './queue.ts'
import type { Verdict } from './reply.ts'
import { retryWaitMs } from './retry.ts'
import type { Runtime } from './runtime.ts'
import { TrackError } from './track-error.ts'
import type { Receipt } from './track-error.ts'
import type { SendResult, Transport } from './transport.ts'

export interface Delivery {
  /** Looks whether something is to be sent now, and when to look again. */
  wake(): void
  /** Sends what is queued now without waiting for its batch to fill up. */
  hurry(): void
  /** The network is back: what waits for it is sent now. */
  online(): void
  /** Sends nothing more; a request under way is given up. */
  stop(): void
}

export interface DeliveryDeps {
  readonly runtime: Runtime
  readonly queue: Queue
  readonly transport: Transport
  /** Sends after the first one, per event. */
  readonly retries: number
  /** Told the outcome of each event. */
  readonly settle: (entry: Entry, outcome: Receipt | TrackError) => void
}

/** A delivery that waits to be woken. */
export function createDelivery({ runtime, queue, transport, retries, settle }: DeliveryDeps): Delivery {
  let sending = false
  let stopped = false
  let pausedUntil = -Infinity
  let failuresInRow = 0
  let hurriedTo = 0
  let timer: { readonly at: number; cancel(): void } | undefined

  const isOnline = (): boolean => runtime.page?.isOnline() ?? true

  const wakeAt = (at: number): void => {
    if (timer !== undefined && timer.at <= at) return
    timer?.cancel()
    const cancel = runtime.startTimer(Math.max(0, Math.ceil(at - runtime.elapsed())), () => {
      timer = undefined
      wake()
    })
    timer = { at, cancel }
  }

  const wake = (): void => {
    if (sending || stopped || !isOnline()) return
    const now = runtime.elapsed()
    if (queue.size === 0) return
    if (now < pausedUntil) return wakeAt(pausedUntil)
    if (queue.isDue(now, transport.limits(), hurriedTo)) return void send()
    const next = queue.nextDueAt()
    if (next !== undefined) wakeAt(next)
  }

  const send = async (): Promise<void> => {
    sending = true
    const batch = queue.take(runtime.elapsed(), transport.limits())
    const result = await transport.send(batch)
    sending = false
    judge(batch, result)
    wake()
  }

  const judge = (batch: readonly Entry[], { verdicts, retryAfterMs }: SendResult): void => {
    const now = runtime.elapsed()
    const random = runtime.random()
    batch.forEach((entry, index) => {
      const verdict = verdicts[index] ?? { kind: 'retry', code: 'unexpected_reply' }
      const { eventId } = entry
      switch (verdict.kind) {
        case 'accepted':
        case 'duplicate':
          return settle(entry, { eventId, status: verdict.kind })
        case 'rejected':
          return settle(entry, new TrackError('rejected', { ...verdict, eventId }))
        case 'unsent':
          return queue.hold(entry, now)
        case 'retry':
          // A device without network did not reach the gateway: that is no failed attempt.
          if (verdict.code === 'network' && !isOnline()) return queue.hold(entry, now)
          if (++entry.failures > retries)
            return settle(entry, new TrackError('retries_exhausted', { eventId, code: verdict.code }))
          return queue.hold(entry, now + retryWaitMs(entry.failures, retryAfterMs, random))
      }
    })
    // An event that is still being stored is no sign of trouble; anything else that hits all events is, and then
    // nothing is sent until the gateway has had the time it needs.
    const inTrouble = verdicts.every(({ kind }) => kind === 'retry') && verdicts.some(isTrouble)
    failuresInRow = inTrouble ? failuresInRow + 1 : 0
    if (inTrouble) pausedUntil = now + retryWaitMs(failuresInRow, retryAfterMs, random)
  }

  return {
    wake,
    hurry() {
      hurriedTo = queue.newest()
      wake()
    },
    online() {
      pausedUntil = -Infinity
      wake()
    },
    stop() {
      stopped = true
      timer?.cancel()
      transport.abort()
    }
  }
}

function isTrouble(verdict: Verdict): boolean {
  return verdict.kind === 'retry' && verdict.code !== 'in_progress'
}
