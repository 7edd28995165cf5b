import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { assigned, openHeld } from '../test/held.ts'
import { runTasks } from './run-tasks.ts'
import type { Tasks } from './run-tasks.ts'

const everyMs = { watch: 500, clocks: 100, emit: 100, days: 500, gauges: 1_000 }

async function open(change: Partial<Tasks> = {}) {
  const world = openHeld([0n, 0n])
  await world.projects.startAt(assigned(0))
  const clock = createManualClock()
  const stop = new AbortController()
  const ran: string[] = []
  const of = (name: string) => async (): Promise<void> => void ran.push(name)
  const names = ['watch', 'clocks', 'emit', 'days', 'gauges', 'prepare'] as const
  const tasks = { ...(Object.fromEntries(names.map((name) => [name, of(name)])) as unknown as Tasks), ...change }
  const { signal } = stop
  const running = runTasks({ projects: world.projects, tasks, everyMs, clock, signal, log: createSilentLogger() })
  running.catch(() => undefined)
  const times = async (ms: number): Promise<Record<string, number>> => {
    ran.length = 0
    await clock.advance(ms)
    return Object.fromEntries(names.map((name) => [name, ran.filter((each) => each === name).length]))
  }
  return { world, running, stop, ran, times, clock }
}

describe('the tasks', () => {
  it('run again and again until they are told to end, each at its pace', async () => {
    const { running, stop, times } = await open()
    await times(50)
    expect(await times(1_000)).toEqual({ watch: 2, clocks: 10, emit: 10, days: 2, gauges: 1, prepare: 0 })
    stop.abort()
    await running
  })

  it('of a project as a whole are of the owner of its partition 0', async () => {
    const { world, times } = await open()
    await world.projects.startAt(assigned(1))
    await times(50)
    expect(await times(1_000)).toMatchObject({ watch: 2, clocks: 10, emit: 0, days: 0 })
  })

  it('emit nothing of a halted project', async () => {
    const { world, times } = await open()
    world.projects.halt(world.live(), 'torn', 'x')
    await times(50)
    expect(await times(1_000)).toMatchObject({ watch: 2, emit: 0 })
  })

  it('wait for a dependency that is down, and prepare again until it is done', async () => {
    let tries = 0
    const down = async (): Promise<void> => {
      if (++tries < 3) throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'down')
    }
    const { times } = await open({
      prepare: down,
      emit: () => Promise.reject(new AppError('PIPE_KAFKA_UNAVAILABLE', 'x'))
    })
    await times(1_000)
    expect(tries).toBe(3)
    expect(await times(1_000)).toMatchObject({ clocks: 10 })
  })

  it('end with a bug', async () => {
    const { running } = await open({ watch: () => Promise.reject(new TypeError('a bug')) })
    await expect(running).rejects.toThrow('a bug')
  })
})
