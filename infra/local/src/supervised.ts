// One supervised service. A service that exits without being asked to is started again after a backoff.
//
// | state    | entered when                         | left when                                              |
// | -------- | ------------------------------------ | ------------------------------------------------------ |
// | starting | first start, or the backoff is over  | /readyz answers 200: up; the process exits: waiting    |
// | up       | /readyz answered 200                 | the process exits: waiting; restart(): starting        |
// | waiting  | the process exited unasked           | backoff over: starting                                 |
// | stopped  | stop(), or it failed its first start | never                                                  |
import { AppError, backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'

export type SupervisedState = 'starting' | 'up' | 'waiting' | 'stopped'

/** How a process ended; exactly one of the two is set. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: string | null
}

/** A running process as the supervisor sees it; tests replace it. */
export interface ServiceProcess {
  readonly pid: number
  readonly exited: Promise<ProcessExit>
  kill(signal: NodeJS.Signals): void
}

/** What happened to a service, for one line each on a terminal. */
export type SupervisorEvent =
  | { readonly kind: 'started'; readonly name: string; readonly pid: number }
  | { readonly kind: 'ready'; readonly name: string; readonly afterMs: number }
  | { readonly kind: 'exited'; readonly name: string; readonly exit: ProcessExit; readonly restartInMs: number }

export interface SupervisedOptions {
  readonly name: string
  /** `start` counts from 1; the first one may carry faults that the later ones must not. */
  readonly spawn: (start: number) => ServiceProcess
  /** Whether the service says it is ready now; never rejects. */
  readonly probe: (signal: AbortSignal) => Promise<boolean>
  readonly clock: Clock
  /** What the operator should read when the service does not start. */
  readonly logFile: string
  /** false: an exit is reported, the service stays down until restart(). */
  readonly restart: boolean
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
  readonly onEvent: (event: SupervisorEvent) => void
}

/** A service under supervision. */
export interface Supervised {
  readonly state: () => SupervisedState
  /** Process id, undefined while no process runs. */
  readonly pid: () => number | undefined
  /** Number of processes started so far. */
  readonly starts: () => number
  /** Sends a signal to the process, if one runs. Supervision goes on: a killed service comes back. */
  kill(signal: NodeJS.Signals): void
  /** Stops the process in its own order and starts a new one; resolves when that is ready. */
  restart(): Promise<void>
  /** Resolves when the service is up; PIPE_STACK when it is stopped, or not up in `startTimeoutMs`. */
  ready(): Promise<void>
  /** Graceful stop (SIGTERM, SIGKILL after `stopTimeoutMs`); resolves when the process is gone. */
  stop(): Promise<void>
}

const restartBackoff: BackoffPolicy = { baseMs: 250, capMs: 5_000, jitter: 0 }
const probeEveryMs = 50
/** A service that was up this long starts again with the shortest backoff. */
const steadyAfterMs = 10_000

/** Starts supervising; the first process is spawned at once. Nothing rejects here: `ready()` tells how it went. */
export function supervise(options: SupervisedOptions): Supervised {
  const { name, clock, onEvent } = options
  const halt = new AbortController()
  let state: SupervisedState = 'starting'
  let current: ServiceProcess | undefined
  let failure: AppError | undefined
  let starts = 0
  let failures = 0
  let asked = false

  const run = async (): Promise<void> => {
    while (!halt.signal.aborted) {
      state = 'starting'
      asked = false
      const startedAtMs = clock.monotonic()
      const process = options.spawn(++starts)
      current = process
      onEvent({ kind: 'started', name, pid: process.pid })
      const gone = new AbortController()
      const probing = probeUntilUp(gone.signal, startedAtMs)
      const exit = await process.exited
      gone.abort()
      await probing
      current = undefined
      if (halt.signal.aborted) break
      if (asked) continue
      if (failures === 0 && starts === 1 && state === 'starting') {
        failure = failedStart(options, exit)
        break
      }
      failures = clock.monotonic() - startedAtMs >= steadyAfterMs ? 1 : failures + 1
      state = 'waiting'
      const restartInMs = backoffMs(restartBackoff, failures)
      onEvent({ kind: 'exited', name, exit, restartInMs })
      if (!options.restart) break
      await clock.sleep(restartInMs, halt.signal).catch(() => {})
    }
    if (halt.signal.aborted || failure !== undefined) state = 'stopped'
  }

  const probeUntilUp = async (gone: AbortSignal, startedAtMs: number): Promise<void> => {
    while (!gone.aborted) {
      if ((await options.probe(gone)) && !gone.aborted) {
        state = 'up'
        onEvent({ kind: 'ready', name, afterMs: Math.round(clock.monotonic() - startedAtMs) })
        return
      }
      await clock.sleep(probeEveryMs, gone).catch(() => {})
    }
  }

  const end = async (): Promise<void> => {
    const process = current
    if (process === undefined) return
    process.kill('SIGTERM')
    using _timer = clock.timer(options.stopTimeoutMs, () => process.kill('SIGKILL'))
    await process.exited
  }

  const ready = async (): Promise<void> => {
    const deadline = clock.monotonic() + options.startTimeoutMs
    for (;;) {
      if (state === 'up') return
      if (failure !== undefined) throw failure
      if (state === 'stopped') throw new AppError('PIPE_STACK', `${name} is stopped`)
      if (clock.monotonic() >= deadline) {
        const message = `${name} was not ready within ${options.startTimeoutMs} ms; its log is ${options.logFile}`
        throw new AppError('PIPE_STACK', message)
      }
      await clock.sleep(probeEveryMs)
    }
  }

  let loop = run()
  return {
    state: () => state,
    pid: () => current?.pid,
    starts: () => starts,
    kill: (signal) => current?.kill(signal),
    ready,
    async restart() {
      if (halt.signal.aborted) throw new AppError('PIPE_STACK', `${name} is stopped`)
      const down = current === undefined
      asked = !down
      state = 'starting'
      if (down && !options.restart) loop = loop.then(run)
      else await end()
      await ready()
    },
    async stop() {
      halt.abort()
      await end()
      await loop
      state = 'stopped'
    }
  }
}

function failedStart({ name, logFile }: SupervisedOptions, exit: ProcessExit): AppError {
  return new AppError('PIPE_STACK', `${name} did not start (${describeExit(exit)}); its log is ${logFile}`)
}

/** How a process ended, in words: `exit code 1` or `SIGKILL`. */
export function describeExit({ code, signal }: ProcessExit): string {
  return signal ?? `exit code ${code}`
}
