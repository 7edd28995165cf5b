// The lease protocol in memory, for unit tests: it fails, or does not answer, when it is told to.
import type { DedupLease, DedupSlot } from '@millrace/stores/dedup-lease'

export interface MemoryLease {
  readonly lease: DedupLease
  /** `marked`, or the token of a lease, by project and event id. */
  readonly marks: ReadonlyMap<string, string>
  /** `down`: every call fails. `slow`: marking does not end. `calls`: what was asked of it so far. */
  readonly state: { down: boolean; slow: boolean; calls: number }
}

/** A lease without marks. */
export function createMemoryLease(): MemoryLease {
  const marks = new Map<string, string>()
  const receipts = new Map<string, string>()
  const state = { down: false, slow: false, calls: 0 }
  const nameOf = ({ prefix, word }: DedupSlot): string => `${prefix}:${word}`
  const lease: DedupLease = {
    slot: (project, _generation, eventId) => ({ prefix: project, word: eventId }),
    async reserveAll(items) {
      state.calls++
      return items.map(({ slot, receipt }) => {
        if (state.down) return { kind: 'failed' }
        const name = nameOf(slot)
        const held = marks.get(name)
        if (held !== undefined) return { kind: held === 'marked' ? 'duplicate' : 'busy' }
        const token = `t${state.calls}`
        marks.set(name, token)
        const kept = receipts.get(name)
        if (receipt !== undefined && kept === undefined) receipts.set(name, receipt)
        return { kind: 'new', token, receipt: kept }
      })
    },
    async commitAll(slots) {
      state.calls++
      if (state.slow) await new Promise(() => {})
      if (state.down) return slots
      for (const slot of slots) marks.set(nameOf(slot), 'marked')
      return []
    },
    async releaseAll(leases) {
      state.calls++
      if (state.down) return leases.length
      for (const { slot, token } of leases) if (marks.get(nameOf(slot)) === token) marks.delete(nameOf(slot))
      return 0
    },
    verifyLayout: async () => {}
  }
  return { lease, marks, state }
}
