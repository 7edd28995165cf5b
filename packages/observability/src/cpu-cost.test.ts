import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { startCpuCost } from './cpu-cost.ts'
import { createRegistry } from './metrics.ts'

function setUp() {
  const clock = createManualClock()
  const stop = new AbortController()
  const registry = createRegistry()
  const cpu = { us: 1_000 }
  const cost = startCpuCost({ stage: 'load', registry, clock, signal: stop.signal, cpuUs: () => cpu.us })
  const reported = async (): Promise<unknown> =>
    (await registry.getSingleMetric('analytics_cpu_us_per_event')?.get())?.values
  const period = async (usedUs: number): Promise<void> => {
    cpu.us += usedUs
    await clock.advance(10_000)
  }
  return { cost, stop, reported, period }
}

describe('startCpuCost', () => {
  it('reports the CPU of a period by its events, and keeps the figure through a period without events', async () => {
    const { cost, reported, period } = setUp()
    expect(await reported()).toEqual([])
    cost.count(4)
    cost.count(6)
    await period(1_000)
    expect(await reported()).toEqual([{ value: 100, labels: { stage: 'load' } }])
    await period(7_000)
    expect(await reported()).toMatchObject([{ value: 100 }])
    cost.count(20)
    await period(1_000)
    expect(await reported()).toMatchObject([{ value: 50 }])
  })

  it('counts the items of a batch once it was handled, and passes arguments, results and errors on', async () => {
    const { cost, reported, period } = setUp()
    const handle = cost.counting(async ({ items }: { readonly items: readonly number[] }, factor: number) => {
      if (factor === 0) throw new Error('refused')
      return items.map((item) => item * factor)
    })
    expect(await handle({ items: [1, 2] }, 3)).toEqual([3, 6])
    await expect(handle({ items: [1, 2, 3] }, 0)).rejects.toThrow('refused')
    await period(500)
    expect(await reported()).toMatchObject([{ value: 250 }])
  })

  it('ends with the signal', async () => {
    const { cost, stop, reported, period } = setUp()
    await period(0)
    stop.abort()
    cost.count(1)
    await period(500)
    expect(await reported()).toEqual([])
  })
})
