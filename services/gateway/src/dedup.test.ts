import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createMemoryLease } from '../test/memory-lease.ts'
import { createDedup } from './dedup.ts'
import type { EventDedup, Hold, Receipt } from './event-dedup.ts'
import { withPlantedBugs } from './planted.ts'

const settings = { commitWaitMs: 50, restMs: 1_000, markRetryMs: 3_000, maxLateMarks: 2 }

function setup() {
  const memory = createMemoryLease()
  const clock = createManualClock()
  const failures: string[] = []
  const onFailure = (operation: string, events: number): void => void failures.push(`${operation} ${events}`)
  const dedup = createDedup({ lease: memory.lease, clock, settings, onFailure })
  return { ...memory, clock, failures, dedup }
}

async function admit(dedup: EventDedup, ...ids: readonly string[]): Promise<readonly string[]> {
  const admissions = await dedup.admitAll(
    'demo',
    1,
    ids.map((eventId) => ({ eventId }))
  )
  return admissions.map((each) => (each.kind === 'admitted' && !each.hold.checked ? 'unchecked' : each.kind))
}

async function holdsOf(dedup: EventDedup, ...ids: readonly string[]): Promise<readonly Hold[]> {
  const admissions = await dedup.admitAll(
    'demo',
    1,
    ids.map((eventId) => ({ eventId }))
  )
  return admissions.map((each) => (each.kind === 'admitted' ? each.hold : expect.fail(each.kind)))
}

describe('createDedup', () => {
  it('admits new events, answers busy while they are held and duplicate once they are committed', async () => {
    const { dedup } = setup()
    const [first, second] = await holdsOf(dedup, 'e1', 'e2')
    expect(await admit(dedup, 'e1', 'e2', 'e3')).toEqual(['busy', 'busy', 'admitted'])
    await dedup.commitAll([first!])
    await dedup.releaseAll([second!])
    expect(await admit(dedup, 'e1', 'e2', 'e3')).toEqual(['duplicate', 'admitted', 'busy'])
    expect(await dedup.admitAll('shop', 1, [{ eventId: 'e1' }])).toMatchObject([{ kind: 'admitted' }])
  })

  it('does not give back the lease of another attempt, nor one that was never held', async () => {
    const { dedup, state, marks } = setup()
    const [first] = await holdsOf(dedup, 'e1')
    await dedup.releaseAll([first!])
    const [second] = await holdsOf(dedup, 'e1')
    await dedup.releaseAll([first!])
    expect(await admit(dedup, 'e1')).toEqual(['busy'])
    const before = state.calls
    await dedup.releaseAll([{ ...second!, token: undefined }])
    expect(state.calls).toBe(before)
    await dedup.commitAll([second!])
    await dedup.releaseAll([second!])
    expect(marks.get('demo:e1')).toBe('marked')
  })

  it('gives a repeat the receipt of the first attempt', async () => {
    const { dedup } = setup()
    const receive = async (receipt: Receipt): Promise<Receipt | undefined> => {
      const [admission] = await dedup.admitAll('demo', 1, [{ eventId: 'e', receipt }])
      if (admission?.kind !== 'admitted') return expect.fail(admission?.kind)
      await dedup.releaseAll([admission.hold])
      return admission.receipt
    }
    const first = { receivedAt: '2026-01-01T00:00:00.000Z', sentAt: '2025-12-31T23:00:00Z' }
    expect(await receive(first)).toBeUndefined()
    expect(await receive({ receivedAt: '2026-01-01T00:00:09.000Z' })).toEqual(first)
  })

  it('admits unchecked while Redis is down, and leaves it alone between tries', async () => {
    const { dedup, state, clock, failures } = setup()
    state.down = true
    expect([await admit(dedup, 'e1', 'e2'), await admit(dedup, 'e3')].flat()).toEqual(Array(3).fill('unchecked'))
    expect(state.calls).toBe(1)
    await clock.advance(1_000)
    expect([await admit(dedup, 'e4'), await admit(dedup, 'e5')].flat()).toEqual(Array(2).fill('unchecked'))
    expect(state.calls).toBe(2)
    expect(failures).toEqual(['reserve 2', 'reserve 1'])
    state.down = false
    await clock.advance(1_000)
    expect([await admit(dedup, 'e6'), await admit(dedup, 'e7')].flat()).toEqual(['admitted', 'admitted'])
  })

  it('marks an event that was published unchecked', async () => {
    const { dedup, state, clock, marks } = setup()
    state.down = true
    const holds = await holdsOf(dedup, 'e1')
    state.down = false
    await dedup.commitAll(holds)
    await clock.advance(1_000)
    expect(marks.get('demo:e1')).toBe('marked')
  })

  it('does not keep the client waiting for a slow mark', async () => {
    const { dedup, state, clock } = setup()
    const holds = await holdsOf(dedup, 'e1')
    state.slow = true
    let waited = false
    const commit = dedup.commitAll(holds).then(() => (waited = true))
    await clock.advance(49)
    expect(waited).toBe(false)
    await clock.advance(1)
    await commit
    expect(waited).toBe(true)
  })

  it('writes marks later when Redis was down at the ack, and asks nothing of it while it rests', async () => {
    const { dedup, state, clock, marks, failures } = setup()
    const [first, second] = await holdsOf(dedup, 'e1', 'e2')
    state.down = true
    await dedup.commitAll([first!])
    const calls = state.calls
    await dedup.commitAll([second!])
    expect([state.calls - calls, failures]).toEqual([0, ['commit 1']])
    await clock.advance(1_000)
    expect(marks.get('demo:e1')).not.toBe('marked')
    state.down = false
    await clock.advance(1_000)
    expect([marks.get('demo:e1'), marks.get('demo:e2')]).toEqual(['marked', 'marked'])
    expect(clock.pending()).toBe(0)
  })

  it('gives marks up, and counts them, when too many wait or they have waited too long', async () => {
    const { dedup, state, clock, failures } = setup()
    const holds = await holdsOf(dedup, 'e1', 'e2', 'e3')
    state.down = true
    await dedup.commitAll(holds)
    expect(failures).toEqual(['commit 3', 'lost 1'])
    await clock.advance(4_000)
    expect(failures).toEqual(['commit 3', 'lost 1', 'lost 2'])
    expect(clock.pending()).toBe(0)
  })

  it('waits for marks under way when it is disposed, and tries late ones once more', async () => {
    const { dedup, state, failures } = setup()
    const holds = await holdsOf(dedup, 'e1', 'e2')
    state.down = true
    await dedup.commitAll(holds)
    await dedup[Symbol.asyncDispose]()
    expect(failures).toEqual(['commit 2', 'lost 2'])
  })
})

describe('withPlantedBugs', () => {
  it('answers duplicate for an event that was never published, as the harness must notice', async () => {
    const { dedup, lease } = setup()
    const wrong = withPlantedBugs(dedup, lease, new Set(['gateway-dedup-before-ack']))
    await wrong.releaseAll(await holdsOf(wrong, 'e1'))
    expect(await admit(wrong, 'e1')).toEqual(['duplicate'])
  })

  it('calls stored what another attempt is still publishing', async () => {
    const { dedup, lease } = setup()
    const wrong = withPlantedBugs(dedup, lease, new Set(['gateway-busy-is-duplicate']))
    await holdsOf(wrong, 'e1')
    expect(await admit(wrong, 'e1')).toEqual(['duplicate'])
  })

  it('is the dedup itself without one', () => {
    const { dedup, lease } = setup()
    expect(withPlantedBugs(dedup, lease, new Set(['another']))).toBe(dedup)
  })
})
