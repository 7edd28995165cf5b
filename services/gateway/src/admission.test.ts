import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createAdmission } from './admission.ts'
import type { Admission, Admitted } from './admission.ts'
import { watchLag } from './loop-lag.ts'

function setup() {
  const clock = createManualClock()
  const loop = { overloaded: false }
  const admission = createAdmission({
    clock,
    maxBytes: 1_000,
    maxProjectBytes: 250,
    overloaded: () => loop.overloaded
  })
  return { clock, loop, admission }
}

function enter(admission: Admission, projectId: string | undefined, bytes: number): Admitted {
  const entered = admission.enter(projectId, bytes)
  if (entered.kind !== 'admitted') throw new Error(`turned away: ${entered.reason}`)
  return entered
}

describe('admission', () => {
  it('takes on what fits and turns the rest away until there is room again', () => {
    const { admission } = setup()
    const held = ['a', 'b', 'c', 'd'].map((project) => enter(admission, project, 240))
    expect(admission.bytesInFlight()).toBe(960)
    expect(admission.enter('e', 41)).toMatchObject({ kind: 'turned-away', reason: 'bytes' })
    held[0]?.release()
    expect(admission.enter('e', 41)).toMatchObject({ kind: 'admitted' })
    expect(admission.bytesInFlight()).toBe(761)
  })

  it('leaves one project its share, and the others theirs', () => {
    const { admission } = setup()
    const first = enter(admission, 'loud', 200)
    expect(admission.enter('loud', 51)).toMatchObject({ kind: 'turned-away', reason: 'project_bytes' })
    expect(admission.enter('loud', 50)).toMatchObject({ kind: 'admitted' })
    expect(admission.enter('calm', 250)).toMatchObject({ kind: 'admitted' })
    first.release()
    expect(admission.enter('loud', 200)).toMatchObject({ kind: 'admitted' })
  })

  it('counts a request without a project for the process alone', () => {
    const { admission } = setup()
    enter(admission, undefined, 500)
    expect(admission.enter(undefined, 501)).toMatchObject({ reason: 'bytes' })
    expect(admission.enter(undefined, 500)).toMatchObject({ kind: 'admitted' })
  })

  it('takes on a lone request of any size: the body limit bounds it', () => {
    const { admission } = setup()
    enter(admission, 'big', 5_000).release()
    expect(admission.bytesInFlight()).toBe(0)
    expect(admission.enter('big', 5_000)).toMatchObject({ kind: 'admitted' })
  })

  it('counts anew when the size is known better, and releases once', () => {
    const { admission } = setup()
    const held = enter(admission, 'a', 200)
    held.resize(10)
    expect(admission.bytesInFlight()).toBe(10)
    held.resize(700)
    expect(admission.bytesInFlight()).toBe(700)
    held.release()
    held.release()
    expect(held.resize(50)).toBe(undefined)
    expect(admission.bytesInFlight()).toBe(0)
  })

  it('turns away what outgrows the bound of the process, and leaves it what it held', () => {
    const { admission } = setup()
    const first = enter(admission, undefined, 600)
    const second = enter(admission, undefined, 100)
    expect(second.resize(401)).toMatchObject({ kind: 'turned-away', reason: 'bytes' })
    expect(admission.bytesInFlight()).toBe(700)
    expect(second.resize(400)).toBe(undefined)
    expect(first.resize(601)).toMatchObject({ kind: 'turned-away', reason: 'bytes' })
    second.release()
    expect(first.resize(5_000)).toBe(undefined)
    first.release()
    expect(admission.bytesInFlight()).toBe(0)
  })

  it('turns away what outgrows the share of its project, unless it is alone in it', () => {
    const { admission } = setup()
    const lone = enter(admission, 'a', 10)
    expect(lone.resize(700)).toBe(undefined)
    const [one, two] = [enter(admission, 'b', 100), enter(admission, 'b', 100)]
    expect(one.resize(151)).toMatchObject({ kind: 'turned-away', reason: 'project_bytes' })
    two.release()
    expect(one.resize(300)).toBe(undefined)
  })

  it('names the time in which so much leaves at the present pace', async () => {
    const { admission, clock } = setup()
    for (let at = 0; at < 20; at++) {
      enter(admission, 'a', 10).release()
      await clock.advance(100)
    }
    enter(admission, 'a', 250)
    for (const project of ['b', 'c', 'd']) enter(admission, project, 250)
    // 100 bytes a second have left, and 400 have to.
    expect(admission.enter('e', 400)).toMatchObject({ reason: 'bytes', retryAfterMs: 4_000 })
    expect(admission.enter('e', 1)).toMatchObject({ retryAfterMs: 1_000 })
    expect(admission.enter('e', 100_000)).toMatchObject({ retryAfterMs: 30_000 })
    await clock.advance(10_000)
    expect(admission.enter('e', 1)).toMatchObject({ retryAfterMs: 5_000 })
  })

  it('takes on nothing while the event loop lags', () => {
    const { admission, loop } = setup()
    loop.overloaded = true
    expect(admission.enter('a', 1)).toMatchObject({ kind: 'turned-away', reason: 'lag' })
    loop.overloaded = false
    expect(admission.enter('a', 1)).toMatchObject({ kind: 'admitted' })
  })
})

describe('the watch over the event loop', () => {
  it('lags above the bound, and keeps up again only below half of it', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const readings = [0, 201, 150, 101, 99, 150, 200, 300]
    const reported: number[] = []
    const meter = { readMs: () => readings[reported.length] ?? 0 }
    const watch = watchLag(meter, { boundMs: 200, clock, signal: stop.signal }, (lagMs) => reported.push(lagMs))
    const states: boolean[] = []
    for (const _reading of readings) {
      await clock.advance(500)
      states.push(watch.lagging())
    }
    expect(states).toEqual([false, true, true, true, false, false, false, true])
    expect(reported).toEqual(readings)
    stop.abort()
    await clock.advance(500)
    expect(clock.pending()).toBe(0)
  })

  it('never lags with a bound of 0', async () => {
    const clock = createManualClock()
    const { signal } = new AbortController()
    const watch = watchLag({ readMs: () => 9_999 }, { boundMs: 0, clock, signal }, () => {})
    await clock.advance(500)
    expect(watch.lagging()).toBe(false)
  })
})
