// Mistakes this service must never make, for the fault harness to find. Switched on by tests only.
import type { DedupLease } from '@millrace/stores/dedup-lease'
import type { EventDedup, EventLog } from './event-dedup.ts'

/** `dedup`, or one with a mistake of `planted`. */
export function withPlantedBugs(dedup: EventDedup, lease: DedupLease, planted: ReadonlySet<string>): EventDedup {
  if (planted.has('gateway-dedup-before-ack')) return marksBeforeAck(dedup, lease)
  return planted.has('gateway-busy-is-duplicate') ? busyIsDuplicate(dedup) : dedup
}

/** The mark is final before the log has the event: a crash or a refusal in between makes every repeat a false duplicate. */
function marksBeforeAck(dedup: EventDedup, lease: DedupLease): EventDedup {
  return {
    async admitAll(project, generation, items) {
      const admissions = await dedup.admitAll(project, generation, items)
      const slots = admissions.flatMap((each) => (each.kind === 'admitted' ? each.hold.slot : []))
      await lease.commitAll(slots)
      return admissions
    },
    commitAll: async () => {},
    releaseAll: async () => {}
  }
}

/** What another attempt is still publishing is called stored. */
function busyIsDuplicate(dedup: EventDedup): EventDedup {
  return {
    commitAll: dedup.commitAll,
    releaseAll: dedup.releaseAll,
    admitAll: async (...request) =>
      (await dedup.admitAll(...request)).map((each) => (each.kind === 'busy' ? { kind: 'duplicate' } : each))
  }
}

/** `log`, or one with a mistake of `planted`. */
export function withPlantedLog(log: EventLog, planted: ReadonlySet<string>): EventLog {
  if (planted.has('gateway-trusts-partial-reply')) return trustsPartialReply(log)
  return planted.has('gateway-answer-before-ack') ? answersBeforeAck(log) : log
}

/** A request that is answered for some of its partitions is taken for stored in all of them. */
function trustsPartialReply(log: EventLog): EventLog {
  return {
    retryAfterMs: () => log.retryAfterMs(),
    async publishAll(events) {
      const outcomes = await log.publishAll(events)
      const answered = outcomes.some(({ kind }) => kind === 'acked')
      return answered ? outcomes.map(() => ({ kind: 'acked' })) : outcomes
    }
  }
}

/** Events are called stored before Kafka says so. */
function answersBeforeAck(log: EventLog): EventLog {
  return {
    retryAfterMs: () => log.retryAfterMs(),
    publishAll(events) {
      void log.publishAll(events)
      return Promise.resolve(events.map(() => ({ kind: 'acked' })))
    }
  }
}
