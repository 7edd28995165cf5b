// The breaker by a clock that is moved by hand: closed, open, half-open for one probe, closed, to the second. The state
// machine is that of the service; only its timers are made by hand.
import { mock } from 'node:test'
import { AppError } from '@millrace/kernel'
import { createBreaker } from '@millrace/stores/breaker'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import { verdictOf } from './rig.ts'

const wanted = [
  [0, 'closed'],
  // Ten of twenty failed.
  [5, 'open'],
  [35, 'half-open'],
  // The probe failed.
  [35, 'open'],
  [65, 'half-open'],
  [65, 'closed'],
  // Nineteen failures are too few for a new window.
  [65, 'closed after 19 failures'],
  [65, 'open']
]

export const breakerTimeline: FaultCase = {
  name: 'breaker-timeline',
  title: 'the breaker by a clock that is moved by hand',
  counters: ['calls', 'refused'],
  async run({ counters }) {
    // Until the timers are given back nothing but promises is waited for, so nothing else of this process sees them.
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 0 })
    try {
      const { timeline, calls, refused } = await play()
      counters.count('calls', calls)
      counters.count('refused', refused)
      const differs = JSON.stringify(timeline) === JSON.stringify(wanted) ? [] : [JSON.stringify(timeline)]
      return verdictOf(broken('progress', 'the breaker took another way', differs))
    } finally {
      mock.timers.reset()
    }
  }
}

async function play(): Promise<{ timeline: unknown[]; calls: number; refused: number }> {
  const timeline: unknown[] = [[0, 'closed']]
  const seconds = (): number => Date.now() / 1_000
  let calls = 0
  let refused = 0
  using breaker = createBreaker({
    name: 'timeline',
    judge: () => 'failure',
    onChange: (state) => timeline.push([seconds(), state]),
    onCall: (outcome) => void (outcome === 'refused' ? refused++ : calls++)
  })
  const call = async (fails: boolean, times = 1): Promise<void> => {
    for (let time = 0; time < times; time++) {
      const work = async (): Promise<void> => {
        if (fails) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
      }
      await breaker.run(work).catch(() => undefined)
    }
  }
  await call(false, 10)
  mock.timers.tick(5_000)
  await call(true, 10)
  mock.timers.tick(29_999)
  await call(false, 5)
  mock.timers.tick(1)
  await call(true)
  mock.timers.tick(30_000)
  // One probe; the others beside it are refused.
  const probe = Promise.withResolvers<void>()
  const probing = breaker.run(() => probe.promise)
  await call(false, 20)
  probe.resolve()
  await probing
  await call(true, 19)
  timeline.push([seconds(), `${breaker.state} after 19 failures`])
  await call(true)
  return { timeline, calls, refused }
}
