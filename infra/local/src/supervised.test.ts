// Supervision with processes that exist only as promises, on a clock moved by hand.
import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { supervise } from './supervised.ts'
import type { ProcessExit, ServiceProcess, SupervisedOptions, SupervisorEvent } from './supervised.ts'

interface FakeProcess extends ServiceProcess {
  readonly signals: string[]
  end(exit: ProcessExit): void
}

/** A world of fake processes that end on any signal unless they are `deaf` to SIGTERM. */
function createWorld(options: Partial<SupervisedOptions> = {}, deaf = false) {
  const clock = createManualClock()
  const processes: FakeProcess[] = []
  const events: SupervisorEvent[] = []
  const spawn = (start: number): ServiceProcess => {
    const { promise, resolve } = Promise.withResolvers<ProcessExit>()
    const process: FakeProcess = {
      pid: 100 + start,
      exited: promise,
      signals: [],
      end: resolve,
      kill(signal) {
        process.signals.push(signal)
        if (signal === 'SIGKILL' || !deaf) resolve({ code: null, signal })
      }
    }
    processes.push(process)
    return process
  }
  const supervised = supervise({
    name: 'loader',
    spawn,
    probe: () => Promise.resolve(true),
    clock,
    logFile: 'logs/loader.log',
    restart: true,
    startTimeoutMs: 1_000,
    stopTimeoutMs: 500,
    onEvent: (event) => events.push(event),
    ...options
  })
  const last = (): FakeProcess => processes.at(-1) as FakeProcess
  return { clock, processes, events, supervised, last }
}

describe('supervise', () => {
  it('starts a service again after it was killed, later each time', async () => {
    const { clock, supervised, events, last } = createWorld()
    await clock.advance(0)
    expect(supervised.state()).toBe('up')
    for (const restartInMs of [250, 500, 1_000]) {
      supervised.kill('SIGKILL')
      await clock.advance(restartInMs - 1)
      expect(supervised.state()).toBe('waiting')
      expect(supervised.pid()).toBeUndefined()
      await clock.advance(1)
      expect(supervised.state()).toBe('up')
      expect(supervised.pid()).toBe(last().pid)
    }
    expect(supervised.starts()).toBe(4)
    expect(events.filter(({ kind }) => kind === 'exited')).toEqual(
      [250, 500, 1_000].map((restartInMs) => ({
        kind: 'exited',
        name: 'loader',
        exit: { code: null, signal: 'SIGKILL' },
        restartInMs
      }))
    )
  })

  it('forgets earlier failures once the service ran for 10 s', async () => {
    const { clock, supervised, events, last } = createWorld()
    for (let kill = 0; kill < 3; kill++) {
      await clock.advance(10_000)
      last().end({ code: 1, signal: null })
      await clock.advance(250)
    }
    expect(supervised.starts()).toBe(4)
    expect(events.filter((event) => event.kind === 'exited').map(({ restartInMs }) => restartInMs)).toEqual([
      250, 250, 250
    ])
  })

  it('gives up on a service that ends before it was ever ready, and names its log', async () => {
    const { clock, supervised, last } = createWorld({ probe: () => Promise.resolve(false) })
    const ready = supervised.ready().catch((error: unknown) => error)
    last().end({ code: 1, signal: null })
    await clock.advance(100)
    expect(await ready).toMatchObject({
      code: 'PIPE_STACK',
      message: 'loader did not start (exit code 1); its log is logs/loader.log'
    })
    expect(supervised.starts()).toBe(1)
  })

  it('reports a service that is never ready when its time is over', async () => {
    const { clock, supervised } = createWorld({ probe: () => Promise.resolve(false) })
    const ready = supervised.ready().catch((error: unknown) => error)
    await clock.advance(1_000)
    expect(await ready).toMatchObject({
      message: 'loader was not ready within 1000 ms; its log is logs/loader.log'
    })
  })

  it('stops gracefully and never starts the service again', async () => {
    const { clock, supervised, processes, last } = createWorld()
    await clock.advance(0)
    await supervised.stop()
    await clock.advance(60_000)
    expect(last().signals).toEqual(['SIGTERM'])
    expect(processes).toHaveLength(1)
    expect(supervised.state()).toBe('stopped')
  })

  it('kills a service that does not stop in time', async () => {
    const { clock, supervised, last } = createWorld({}, true)
    await clock.advance(0)
    const stopped = supervised.stop()
    await clock.advance(499)
    expect(last().signals).toEqual(['SIGTERM'])
    await clock.advance(1)
    await stopped
    expect(last().signals).toEqual(['SIGTERM', 'SIGKILL'])
  })

  it('stops while it waits to start again', async () => {
    const { clock, supervised, processes } = createWorld()
    await clock.advance(0)
    supervised.kill('SIGKILL')
    await clock.advance(10)
    await supervised.stop()
    await clock.advance(10_000)
    expect(processes).toHaveLength(1)
  })

  it('restarts on demand without a backoff', async () => {
    const { clock, supervised, processes, events } = createWorld()
    await clock.advance(0)
    const restarted = supervised.restart()
    await clock.advance(50)
    await restarted
    expect(processes.map(({ signals }) => signals)).toEqual([['SIGTERM'], []])
    expect(events.map(({ kind }) => kind)).toEqual(['started', 'ready', 'started', 'ready'])
  })

  it('leaves a dead service down when it may not restart, until it is told to', async () => {
    const { clock, supervised, processes } = createWorld({ restart: false })
    await clock.advance(0)
    supervised.kill('SIGKILL')
    await clock.advance(60_000)
    expect(processes).toHaveLength(1)
    expect(supervised.state()).toBe('waiting')
    const restarted = supervised.restart()
    await clock.advance(50)
    await restarted
    expect(processes).toHaveLength(2)
    expect(supervised.state()).toBe('up')
  })
})
