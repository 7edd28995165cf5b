import { describe, expect, it } from 'vitest'
import type { DedupLease } from '@millrace/stores/dedup-lease'
import { AppError, createManualClock } from '@millrace/kernel'
import { createDedup, createDedupBeforeAck } from './dedup.ts'
import type { Admission, Hold } from './dedup.ts'

const settings = { commitWaitMs: 50, restMs: 1_000, commitRetryMs: 30_000, maxCommitRetries: 1 }

/** The lease protocol in memory; `down` makes every call fail, `slow` keeps commits from ending. */
function memoryLease() {
  const marks = new Map<string, string>()
  const state = { down: false, slow: false, calls: 0 }
  const reach = (): void => {
    state.calls++
    if (state.down) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'down')
  }
  const lease: DedupLease = {
    slot: (project, eventId) => ({ prefix: `${project}:`, digest: eventId }),
    reserve: async ({ prefix, digest }) => {
      reach()
      const key = prefix + digest
      const held = marks.get(key)
      if (held !== undefined) return { kind: held === 'C' ? 'duplicate' : 'busy' }
      const token = `t${state.calls}`
      marks.set(key, token)
      return { kind: 'new', token }
    },
    commit: async ({ prefix, digest }) => {
      reach()
      if (state.slow) await new Promise(() => {})
      marks.set(prefix + digest, 'C')
    },
    release: async ({ prefix, digest }, token) => {
      reach()
      const key = prefix + digest
      if (marks.get(key) === token) marks.delete(key)
    },
    verifyLayout: async () => {}
  }
  return { lease, marks, state }
}

function setup() {
  const memory = memoryLease()
  const clock = createManualClock()
  const failures: string[] = []
  const dedup = createDedup({
    lease: memory.lease,
    clock,
    settings,
    onFailure: (operation) => failures.push(operation)
  })
  return { ...memory, clock, failures, dedup }
}

function holdOf(admission: Admission): Hold {
  if (admission.kind !== 'admitted') throw new Error(`not admitted: ${admission.kind}`)
  return admission.hold
}

describe('createDedup', () => {
  it('admits a new event, answers busy while it is held and duplicate once it is committed', async () => {
    const { dedup } = setup()
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    expect(hold.checked).toBe(true)
    expect(await dedup.admit('demo', 'e1')).toEqual({ kind: 'busy' })
    await hold.commit()
    expect(await dedup.admit('demo', 'e1')).toEqual({ kind: 'duplicate' })
    expect((await dedup.admit('shop', 'e1')).kind).toBe('admitted')
  })

  it('admits an event again after its release, and a release does not touch the lease of another attempt', async () => {
    const { dedup, marks } = setup()
    const first = holdOf(await dedup.admit('demo', 'e1'))
    await first.release()
    const second = holdOf(await dedup.admit('demo', 'e1'))
    await first.release()
    expect(await dedup.admit('demo', 'e1')).toEqual({ kind: 'busy' })
    await second.commit()
    await second.release()
    expect(marks.get('demo:e1')).toBe('C')
  })

  it('admits unchecked while Redis is down, and leaves it alone between tries', async () => {
    const { dedup, state, clock, failures } = setup()
    state.down = true
    expect(holdOf(await dedup.admit('demo', 'e1')).checked).toBe(false)
    expect(holdOf(await dedup.admit('demo', 'e2')).checked).toBe(false)
    expect(state.calls).toBe(1)
    await clock.advance(1_000)
    expect(holdOf(await dedup.admit('demo', 'e3')).checked).toBe(false)
    expect(holdOf(await dedup.admit('demo', 'e4')).checked).toBe(false)
    expect(state.calls).toBe(2)
    expect(failures).toEqual(['reserve', 'reserve'])
  })

  it('checks again after the first call that works', async () => {
    const { dedup, state, clock } = setup()
    state.down = true
    await dedup.admit('demo', 'e1')
    state.down = false
    await clock.advance(1_000)
    expect(holdOf(await dedup.admit('demo', 'e2')).checked).toBe(true)
    expect(holdOf(await dedup.admit('demo', 'e3')).checked).toBe(true)
  })

  it('marks an event that was published unchecked', async () => {
    const { dedup, state, marks } = setup()
    state.down = true
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    state.down = false
    await hold.commit()
    expect(marks.get('demo:e1')).toBe('C')
  })

  it('does not keep the client waiting for a slow mark', async () => {
    const { dedup, state, clock } = setup()
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    state.slow = true
    let waited = false
    const commit = hold.commit().then(() => (waited = true))
    await clock.advance(49)
    expect(waited).toBe(false)
    await clock.advance(1)
    await commit
    expect(waited).toBe(true)
  })

  it('writes a mark later when Redis was down at the ack', async () => {
    const { dedup, state, clock, marks, failures } = setup()
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    state.down = true
    const answered = hold.commit()
    await clock.advance(50)
    await answered
    expect(marks.get('demo:e1')).not.toBe('C')
    state.down = false
    await clock.advance(1_000)
    expect(marks.get('demo:e1')).toBe('C')
    expect(failures).toEqual(['commit'])
  })

  it('gives a mark up, and counts it, when too many wait already', async () => {
    const { dedup, state, clock, failures } = setup()
    const first = holdOf(await dedup.admit('demo', 'e1'))
    const second = holdOf(await dedup.admit('demo', 'e2'))
    state.down = true
    const answered = [first.commit(), second.commit()]
    await clock.advance(50)
    await Promise.all(answered)
    expect(failures).toEqual(['commit', 'commit', 'lost'])
  })

  it('waits for marks under way when it is disposed, but not for tries to come', async () => {
    const { dedup, state, clock, failures } = setup()
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    state.down = true
    const answered = hold.commit()
    await clock.advance(50)
    await answered
    await dedup[Symbol.asyncDispose]()
    expect(failures).toEqual(['commit', 'lost'])
  })
})

describe('createDedupBeforeAck', () => {
  it('answers duplicate for an event that was never published, as the harness must notice', async () => {
    const dedup = createDedupBeforeAck(memoryLease().lease)
    const hold = holdOf(await dedup.admit('demo', 'e1'))
    await hold.release()
    expect(await dedup.admit('demo', 'e1')).toEqual({ kind: 'duplicate' })
  })
})
