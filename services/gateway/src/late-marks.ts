// Marks that Redis did not take at the ack. They are tried again in the background, all together, for a bounded time and
// up to a bounded number: each one that is lost may let one repeat be stored as a copy.
import type { Clock } from '@millrace/kernel'
import type { DedupLease, DedupSlot } from '@millrace/stores/dedup-lease'
import type { DedupSettings } from './dedup.ts'

export interface LateMarks {
  /** Takes marks over; those beyond the bound are given up. */
  add(slots: readonly DedupSlot[]): void
  /** Tries what is left once more and gives up the rest. */
  stop(): Promise<void>
}

export interface LateMarksDeps {
  readonly lease: Pick<DedupLease, 'commitAll'>
  readonly clock: Clock
  readonly settings: DedupSettings
  readonly onLost: (marks: number) => void
}

interface LateMark {
  readonly slot: DedupSlot
  readonly untilMs: number
}

/** Marks tried in one go. */
const chunk = 5_000

/** No marks yet, and nothing running. */
export function createLateMarks({ lease, clock, settings, onLost }: LateMarksDeps): LateMarks {
  let waiting: LateMark[] = []
  let timer: Disposable | undefined
  let isStopped = false
  /** Marks of the try that runs: they count against the bound, since those that fail come back. */
  let inHand = 0
  let running: Promise<void> | undefined

  const arm = (): void => {
    if (waiting.length > 0 && !isStopped)
      timer ??= clock.timer(settings.restMs, () => {
        running = tryAgain()
      })
  }

  const tryAgain = async (): Promise<void> => {
    const tried = waiting
    waiting = []
    inHand = tried.length
    const nowMs = clock.monotonic()
    for (let at = 0; at < tried.length; at += chunk) {
      const marks = tried.slice(at, at + chunk)
      const failed = new Set(await lease.commitAll(marks.map(({ slot }) => slot)))
      const kept = failed.size === 0 ? [] : marks.filter(({ slot }) => failed.has(slot))
      const young = kept.filter(({ untilMs }) => untilMs > nowMs)
      if (young.length < kept.length) onLost(kept.length - young.length)
      waiting.push(...young)
      inHand -= marks.length
    }
    timer = undefined
    arm()
  }

  return {
    add(slots) {
      const room = isStopped ? 0 : Math.max(0, settings.maxLateMarks - waiting.length - inHand)
      if (slots.length > room) onLost(slots.length - room)
      const untilMs = clock.monotonic() + settings.markRetryMs
      for (const slot of slots.slice(0, room)) waiting.push({ slot, untilMs })
      arm()
    },
    async stop() {
      isStopped = true
      timer?.[Symbol.dispose]()
      await running
      const left = waiting.splice(0).map(({ slot }) => slot)
      const failed = left.length === 0 ? [] : await lease.commitAll(left)
      if (failed.length > 0) onLost(failed.length)
    }
  }
}
