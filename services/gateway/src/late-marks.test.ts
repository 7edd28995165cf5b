import { describe, expect, it } from 'vitest'
import type { DedupSlot } from '@millrace/stores/dedup-lease'
import { createManualClock } from '@millrace/kernel'
import { createLateMarks } from './late-marks.ts'

const slots = (count: number, prefix = 's'): readonly DedupSlot[] =>
  Array.from({ length: count }, (_, index) => ({ prefix: 'p', word: `${prefix}${index}` }))

function setup() {
  const clock = createManualClock()
  const lost: number[] = []
  const tries: { readonly slots: readonly DedupSlot[]; readonly answer: (failed: readonly DedupSlot[]) => void }[] = []
  const late = createLateMarks({
    lease: { commitAll: (tried) => new Promise((resolve) => void tries.push({ slots: tried, answer: resolve })) },
    clock,
    settings: { commitWaitMs: 50, restMs: 1_000, markRetryMs: 60_000, maxLateMarks: 10 },
    onLost: (marks) => lost.push(marks)
  })
  return { clock, lost, tries, late }
}

describe('late marks', () => {
  it('count against the bound while a try is under way, since those that fail come back', async () => {
    const { clock, lost, tries, late } = setup()
    late.add(slots(8))
    await clock.advance(1_000)
    late.add(slots(5, 't'))
    expect(lost).toEqual([3])
    tries[0]?.answer(tries[0].slots)
    await clock.advance(1_000)
    expect(tries[1]?.slots).toHaveLength(10)
  })

  it('are all marked or counted when they are stopped during a try', async () => {
    const { clock, lost, tries, late } = setup()
    late.add(slots(6))
    await clock.advance(1_000)
    late.add(slots(2, 't'))
    const stopped = late.stop()
    tries[0]?.answer(tries[0].slots)
    await clock.advance(0)
    expect(tries[1]?.slots).toHaveLength(8)
    tries[1]?.answer(slots(3))
    await stopped
    expect([lost, clock.pending()]).toEqual([[3], 0])
  })
})
