import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultProjectSettings } from '@millrace/contracts'
import type { ProjectContext, ProjectLimits } from '@millrace/contracts'
import { AppError, createManualClock } from '@millrace/kernel'
import type { ManualClock } from '@millrace/kernel'
import type { SharedBuckets } from '@millrace/stores/shared-buckets'
import { afterTaking } from '@millrace/stores/token-bucket'
import { createRateLimiter } from './rate-limiter.ts'
import type { LimitedEvent, RateLimiter } from './rate-limiter.ts'

const projectOf = (limits: ProjectLimits, projectId = 'shop'): ProjectContext => ({
  projectId,
  logGeneration: 1,
  settings: { ...defaultProjectSettings, limits }
})
const events = (count: number, eventType = 'view', userId?: string): LimitedEvent[] =>
  Array.from({ length: count }, () => ({ event: { eventType, userId } }))
/** How many of a take passed. */
const passed = (limiter: RateLimiter, project: ProjectContext, wanted: readonly LimitedEvent[]): number =>
  limiter.take(project, wanted)?.filter((limited) => limited === undefined).length ?? wanted.length

describe('without a limit', () => {
  it('everything passes, and nothing is counted or told', () => {
    const clock = createManualClock()
    const limiter = createRateLimiter({ clock, shared: sharedBuckets(clock) })
    expect(limiter.take(projectOf({}), events(1_000_000))).toBeUndefined()
    expect(limiter.exhausted(projectOf({}))).toBeUndefined()
    expect(clock.pending()).toBe(0)
  })
})

describe('the limit of a project', () => {
  it('gives its burst, then its rate, and tells when all that waits will pass', async () => {
    const clock = createManualClock()
    const limiter = createRateLimiter({ clock })
    const project = projectOf({ project: { eventsPerSecond: 10, burst: 20 } })
    const verdicts = limiter.take(project, events(25))
    const limited = { scope: 'project', retryAfterMs: 500 }
    expect(verdicts).toEqual(Array.from({ length: 25 }, (_, at) => (at < 20 ? undefined : limited)))
    expect(limiter.exhausted(project)).toEqual({ scope: 'project', retryAfterMs: 100 })
    await clock.advance(500)
    expect(limiter.exhausted(project)).toBeUndefined()
    expect(limiter.take(project, events(5))).toBeUndefined()
    expect(passed(limiter, project, events(1))).toBe(0)
    await clock.advance(60_000)
    expect(passed(limiter, project, events(100))).toBe(20)
  })

  it('is the one of the deployment when the project sets none, and each project has its own', () => {
    const limiter = createRateLimiter({ clock: createManualClock(), defaultRate: { eventsPerSecond: 1, burst: 3 } })
    expect(passed(limiter, projectOf({}, 'a'), events(5))).toBe(3)
    expect(passed(limiter, projectOf({}, 'b'), events(5))).toBe(3)
    expect(passed(limiter, projectOf({ project: { eventsPerSecond: 1, burst: 4 } }, 'c'), events(5))).toBe(4)
  })

  it('follows a change of the settings', async () => {
    const clock = createManualClock()
    const limiter = createRateLimiter({ clock })
    expect(passed(limiter, projectOf({ project: { eventsPerSecond: 1, burst: 1 } }), events(5))).toBe(1)
    await clock.advance(1_000)
    expect(passed(limiter, projectOf({ project: { eventsPerSecond: 100, burst: 100 } }), events(200))).toBe(100)
  })
})

describe('limits of event types and users', () => {
  it('turn away only what is over them, and take nothing for it from the limit of the project', () => {
    const limiter = createRateLimiter({ clock: createManualClock() })
    const project = projectOf({
      project: { eventsPerSecond: 1, burst: 6 },
      perEventType: { eventsPerSecond: 1, burst: 3 },
      perUser: { eventsPerSecond: 1, burst: 2 }
    })
    const wanted = [events(5, 'click'), events(3, 'view', 'ann'), events(3, 'buy', 'ben'), events(1, 'end')].flat()
    const scopes = limiter.take(project, wanted)?.map((limited) => limited?.scope ?? 'passes')
    expect(scopes?.join(' ')).toBe('passes passes passes type type passes passes user passes project project project')
  })

  it('do not limit events without a user id by user', () => {
    const limiter = createRateLimiter({ clock: createManualClock() })
    expect(limiter.take(projectOf({ perUser: { eventsPerSecond: 1, burst: 1 } }), events(50))).toBeUndefined()
  })

  it('remember a bounded number of users: the one unused for longest starts anew', () => {
    const limiter = createRateLimiter({ clock: createManualClock(), maxBuckets: 2 })
    const project = projectOf({ perUser: { eventsPerSecond: 0.001, burst: 1 } })
    for (const user of ['a', 'b']) expect(passed(limiter, project, events(2, 'x', user))).toBe(1)
    expect(passed(limiter, project, events(1, 'x', 'a'))).toBe(0)
    expect(passed(limiter, project, events(1, 'x', 'c'))).toBe(1)
    expect(passed(limiter, project, events(1, 'x', 'b'))).toBe(1)
    expect(passed(limiter, project, events(1, 'x', 'c'))).toBe(0)
  })
})

describe('shared limits', () => {
  it('let two processes give no more than one would, save for a tenth of a second', async () => {
    const clock = createManualClock()
    const shared = sharedBuckets(clock)
    const project = projectOf({ project: { eventsPerSecond: 100, burst: 100 } })
    const [one, two] = [createRateLimiter({ clock, shared }), createRateLimiter({ clock, shared })]
    expect(passed(one, project, events(100))).toBe(100)
    expect(passed(two, project, events(50))).toBe(50)
    await clock.advance(100)
    expect(two.exhausted(project)?.retryAfterMs).toBe(510)
    let given = 150
    for (let tenth = 0; tenth < 20; tenth++) {
      given += passed(one, project, events(50)) + passed(two, project, events(50))
      await clock.advance(100)
    }
    // A burst of 100, two seconds and a tenth at 100 a second, and one tenth of a second that was not heard of in time.
    expect(given).toBeGreaterThanOrEqual(300)
    expect(given).toBeLessThanOrEqual(320)
  })

  it('tells each bucket once per interval, with all that was given away, and rests when nothing is', async () => {
    const clock = createManualClock()
    const told: unknown[] = []
    const shared: SharedBuckets = {
      spend: async (spendings) => {
        told.push(spendings.map(({ scope, subject, count }) => ({ scope, subject, count })))
        return spendings.map(() => 0)
      }
    }
    const rate = { eventsPerSecond: 1_000, burst: 1_000 }
    const limiter = createRateLimiter({ clock, shared })
    const project = projectOf({ project: rate, perUser: rate })
    for (let at = 0; at < 5; at++) limiter.take(project, events(2, 'x', 'ann'))
    await clock.advance(100)
    expect(told).toEqual([
      [
        { scope: 'user', subject: 'ann', count: 10 },
        { scope: 'project', subject: '', count: 10 }
      ]
    ])
    expect(clock.pending()).toBe(0)
  })

  it('remembers a bounded number of buckets to tell while a call hangs, and says that others were left out', async () => {
    const clock = createManualClock()
    const calls: number[] = []
    let answer: (() => void) | undefined
    let failures = 0
    const shared: SharedBuckets = {
      spend: async (spendings) => {
        calls.push(spendings.length)
        await new Promise<void>((resolve) => (answer = resolve))
        return spendings.map(() => 0)
      }
    }
    const limiter = createRateLimiter({ clock, shared, onShareFailure: () => void failures++ })
    const project = projectOf({ perUser: { eventsPerSecond: 10, burst: 10 } })
    limiter.take(project, events(1, 'x', 'first'))
    await clock.advance(100)
    for (let user = 0; user < 30_000; user++) limiter.take(project, events(1, 'x', `user-${user}`))
    expect([calls, failures]).toEqual([[1], 1])
    answer?.()
    await clock.advance(100)
    expect([calls, failures]).toEqual([[1, 20_000], 1])
  })

  it('limits by itself while the shared buckets are away, and says so', async () => {
    const clock = createManualClock()
    let failures = 0
    const shared: SharedBuckets = {
      spend: async () => await Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'down'))
    }
    const limiter = createRateLimiter({ clock, shared, onShareFailure: () => void failures++ })
    const project = projectOf({ project: { eventsPerSecond: 10, burst: 10 } })
    expect(passed(limiter, project, events(20))).toBe(10)
    await clock.advance(1_000)
    expect(failures).toBe(1)
    expect(passed(limiter, project, events(20))).toBe(10)
  })

  it('never gives more than burst, rate and what all processes may give before they hear of each other', async () => {
    const rates = fc.record({
      eventsPerSecond: fc.integer({ min: 1, max: 5_000 }),
      burst: fc.integer({ min: 1, max: 5_000 })
    })
    const steps = fc.array(
      fc.record({
        process: fc.nat(2),
        count: fc.integer({ min: 1, max: 500 }),
        afterMs: fc.integer({ min: 0, max: 300 })
      }),
      { minLength: 10, maxLength: 80 }
    )
    await fc.assert(
      fc.asyncProperty(rates, steps, async (rate, tries) => {
        const clock = createManualClock()
        const shared = sharedBuckets(clock)
        const limiters = [0, 1, 2].map(() => createRateLimiter({ clock, shared }))
        const project = projectOf({ project: rate })
        let given = 0
        for (const { process, count, afterMs } of tries) {
          given += passed(limiters[process]!, project, events(count))
          await clock.advance(afterMs)
        }
        const flowed = (rate.eventsPerSecond * clock.monotonic()) / 1_000
        const unheard = 2 * (rate.burst + rate.eventsPerSecond * 0.1)
        expect(given).toBeLessThanOrEqual(rate.burst + flowed + unheard + 1)
      }),
      { numRuns: 50 }
    )
  })
})

/** The shared buckets as the script keeps them, in memory. */
function sharedBuckets(clock: ManualClock): SharedBuckets {
  const full = new Map<string, number>()
  return {
    spend: async (spendings) =>
      spendings.map(({ projectId, scope, subject, rate, count }) => {
        const key = [projectId, scope, subject].join(' ')
        const nowMs = clock.monotonic()
        const debtMs = nowMs + (rate.burst * 1_000) / rate.eventsPerSecond + 10_000
        const fullAtMs = Math.min(afterTaking(full.get(key) ?? 0, count, rate, nowMs), debtMs)
        full.set(key, fullAtMs)
        return Math.ceil(fullAtMs - nowMs)
      })
  }
}
