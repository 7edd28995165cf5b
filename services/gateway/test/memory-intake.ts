// The way of events over a deduplication and a log in memory that keep their word.
import { createManualClock } from '@millrace/kernel'
import type { Faults } from '@millrace/service'
import { createAcceptEvents } from '../src/accept.ts'
import type { Hold } from '../src/event-dedup.ts'
import { startMs } from './fake-gateway.ts'

/** `log` holds what was stored, in order; `calls` what was called, with the number of events. */
export function createMemoryIntake(faults: Faults = { at: () => {} }) {
  const log: string[] = []
  const calls: string[] = []
  const marks = new Map<string, 'pending' | 'stored'>()
  const ids = new Map<Hold, string>()
  const hold = (eventId: string): Hold => {
    const made: Hold = { checked: true, slot: { prefix: '', word: eventId }, token: eventId }
    ids.set(made, eventId)
    return made
  }
  const accept = createAcceptEvents({
    dedup: {
      admitAll: async (_project, _generation, items) => {
        calls.push(`admit ${items.length}`)
        return items.map(({ eventId }) => {
          const mark = marks.get(eventId)
          if (mark !== undefined) return { kind: mark === 'stored' ? ('duplicate' as const) : ('busy' as const) }
          marks.set(eventId, 'pending')
          return { kind: 'admitted' as const, hold: hold(eventId) }
        })
      },
      commitAll: async (holds) => {
        calls.push(`commit ${holds.length}`)
        for (const each of holds) marks.set(ids.get(each) ?? '', 'stored')
      },
      releaseAll: async (holds) => {
        calls.push(`release ${holds.length}`)
        for (const each of holds) marks.delete(ids.get(each) ?? '')
      }
    },
    log: {
      retryAfterMs: () => 0,
      publishAll: async (events) => {
        calls.push(`publish ${events.length}`)
        for (const { value } of events) log.push(value.toString())
        return events.map(() => ({ kind: 'acked' as const }))
      }
    },
    clock: createManualClock(startMs),
    faults,
    maxEventBytes: 256 * 1024,
    gates: [],
    onReceived: () => {},
    onUnchecked: () => {}
  })
  return { accept, log, calls }
}
