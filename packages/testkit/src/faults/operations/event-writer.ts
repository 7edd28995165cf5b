// Events with everything that the live state looks at, written to the log of a rig.
import { partitionFor } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import type { Random } from '../../random.ts'
import { makeEvents } from '../stream/make-events.ts'
import type { OperationsRig } from './rig.ts'

/** Writes sessions of the last `sinceMs` and resolves with the ids of their events, which begin with `run`. */
export type WriteEvents = (run: string, sessions: number, sinceMs: number) => Promise<readonly string[]>

const partitions = 4
/** Shorter than any session of the cases is idle. */
const gapMs = 2_500

/** Creates the writer. */
export function eventWriter(rig: OperationsRig, random: Random): WriteEvents {
  return async (run, sessions, sinceMs) => {
    const toMs = systemClock.now()
    const events = makeEvents(random, { run, sessions, fromMs: toMs - sinceMs, toMs, gapMs })
    await rig.append(
      events.map(({ eventId, value }) => ({ partition: partitionFor(eventId, partitions), key: eventId, value }))
    )
    return events.map(({ eventId }) => eventId)
  }
}
