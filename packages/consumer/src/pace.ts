// Holds a replay back: to its rate, and as long as live reading is behind.
import type { Clock } from '@millrace/kernel'
import type { ConsumerDef, HandleContext } from './definition.ts'
import type { Behind } from './replay-client.ts'

export interface PaceOptions {
  readonly clock: Clock
  /** Items a second at most, now; undefined: no limit. */
  readonly perSecond: () => number | undefined
  /** How far live reading is behind. */
  readonly behind: () => Behind
  /** The replay waits while live reading is further behind than this. */
  readonly giveWayMs: number
  /** Told once in each long wait for live reading, which may be that of another project than the replay's. */
  readonly onLongWait: (behind: Behind) => void
  /** The replay ends: what it holds is handled at once. */
  readonly isEnding: () => boolean
}

/** A wait for the rate is looked at this often, for the end of the replay. */
const lookMs = 250
/** Shorter, since the store has nothing to do in between once live reading has caught up. */
const giveWayLookMs = 50
const longWaitMs = 30_000

/** `handle`, called only when there is room for it. A wait counts as progress and ends with the signal. */
export function createPacedHandle<Item>(
  handle: ConsumerDef<Item>['handle'],
  { clock, perSecond, behind, giveWayMs, onLongWait, isEnding }: PaceOptions
): ConsumerDef<Item>['handle'] {
  let freeAtMs = 0
  const wait = async (ms: number, { signal, progress }: HandleContext): Promise<void> => {
    await clock.sleep(Math.min(ms, lookMs), signal)
    progress()
  }
  const giveWay = async (context: HandleContext): Promise<void> => {
    let tellAtMs = clock.monotonic() + longWaitMs
    for (let found = behind(); !isEnding() && found.ms > giveWayMs; found = behind()) {
      if (clock.monotonic() >= tellAtMs) {
        onLongWait(found)
        tellAtMs = Infinity
      }
      await wait(giveWayLookMs, context)
    }
  }
  return async function paced(batch, context) {
    const leftMs = (): number => freeAtMs - clock.monotonic()
    await giveWay(context)
    while (!isEnding() && leftMs() > 0) await wait(leftMs(), context)
    const rate = perSecond()
    // Taken before the call, so that batches handled at once share the rate.
    if (rate !== undefined) freeAtMs = Math.max(freeAtMs, clock.monotonic()) + (batch.items.length / rate) * 1_000
    return await handle(batch, context)
  }
}
