// A service on several cores: one process that others see, and workers that share its port. The primary starts them, starts
// a dead one again, passes a stop on, and ends when all have ended; connections come to the workers by themselves.
// States: starting (a worker that fails ends everything) -> up (a dead worker is replaced) -> stopping -> exit.
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { backoffMs } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { bindMetrics, createRegistry, exportMetrics } from '@millrace/observability'
import type { Logger } from '@millrace/observability'
import { primaryMetrics } from './metrics.ts'
import { createHub, isPeerMessage } from './peers.ts'
import type { Link } from './peers.ts'
import { claimPort, sharesPort } from './port-sharing.ts'

export interface PrimaryOptions {
  readonly workers: number
  /** Where the workers listen; 0 is a free port, the same for all. */
  readonly port: number
  readonly host: string
  readonly log: Logger
  readonly clock: Clock
  /** Longest graceful stop of a worker. */
  readonly stopTimeoutMs: number
  /** Resolves with the reason to stop. */
  readonly stopAsked: Promise<string>
}

/** Between the deaths of one worker; a worker that was up for `steadyMs` starts over. */
const restartPolicy = { baseMs: 500, capMs: 30_000, jitter: 0.2 }
const steadyMs = 30_000
/** Starts in a row that did not come to listen: the trouble will not go away by another one. */
const maxFailedStarts = 5
/** Workers stop within `stopTimeoutMs` by themselves; this much later they are ended. */
const graceMs = 1_000

interface Slot {
  worker: Worker | undefined
  listeningSinceMs: number | undefined
  deaths: number
  failedStarts: number
}

/** Runs workers until a stop is asked for or they cannot start. Resolves with the exit code: 0 when all ended well. */
export async function runPrimary(options: PrimaryOptions): Promise<0 | 1> {
  const { log, clock, stopAsked } = options
  // Where the kernel does not spread connections, the primary deals them out in turn.
  cluster.schedulingPolicy = cluster.SCHED_RR
  const registry = createRegistry()
  const { restarts } = bindMetrics(primaryMetrics, registry)
  const hub = createHub(clock)
  hub.provide('metrics', () => exportMetrics(registry))
  const failed = Promise.withResolvers<{ reason: string; code: 1 }>()
  const slots = Array.from({ length: options.workers }, (): Slot => ({
    worker: undefined,
    listeningSinceMs: undefined,
    deaths: 0,
    failedStarts: 0
  }))
  const state = { up: false, stopping: false, port: options.port }

  const start = (slot: Slot): void => {
    if (state.stopping) return
    const worker = cluster.fork({ PORT: String(state.port) })
    slot.worker = worker
    slot.listeningSinceMs = undefined
    const forget = hub.add(toLink(worker))
    worker.on('message', (message: unknown) => {
      if (!isPeerMessage(message) || message.millrace !== 'listening') return
      slot.listeningSinceMs = clock.monotonic()
      slot.failedStarts = 0
      if (sharesPort && state.port === 0) {
        state.port = message.port
        for (const other of slots) if (other !== slot) start(other)
      }
      if (slots.every(({ listeningSinceMs }) => listeningSinceMs !== undefined)) state.up = true
    })
    worker.once('exit', (code, signal) => {
      forget()
      slot.worker = undefined
      if (!state.stopping) replace(slot, { pid: worker.process.pid, code, signal })
    })
  }
  const replace = (slot: Slot, death: object): void => {
    const steady = slot.listeningSinceMs !== undefined && clock.monotonic() - slot.listeningSinceMs >= steadyMs
    if (slot.listeningSinceMs === undefined) slot.failedStarts++
    slot.deaths = steady ? 1 : slot.deaths + 1
    if (!state.up || slot.failedStarts >= maxFailedStarts) {
      log.error(death, 'worker did not start')
      return failed.resolve({ reason: 'a worker did not start', code: 1 })
    }
    const waitMs = backoffMs(restartPolicy, slot.deaths)
    log.error({ ...death, waitMs }, 'worker died, starting another one')
    restarts.add(1)
    // Not a timer: with every worker dead nothing else would keep this process alive.
    void clock.sleep(waitMs).then(() => start(slot))
  }

  await claimPort(options)
  // Sockets of their own would find a free port each: the first worker finds the one for all.
  for (const slot of sharesPort && options.port === 0 ? slots.slice(0, 1) : slots) start(slot)
  const asked = stopAsked.then((reason) => ({ reason, code: 0 as const }))
  const { reason, code } = await Promise.race([asked, failed.promise])
  state.stopping = true
  log.info({ reason }, 'stopping workers')
  const ended = await Promise.all(slots.map((slot) => stopWorker(slot, options)))
  log.info('workers stopped')
  return ended.every(Boolean) ? code : 1
}

/** Ends every worker at once. */
export function killWorkers(): void {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
}

/** Whether the worker, if there is one, ended by itself with 0. */
async function stopWorker({ worker, listeningSinceMs }: Slot, { clock, stopTimeoutMs, log }: PrimaryOptions) {
  if (worker === undefined) return true
  const exited = new Promise<number>((resolve) => worker.once('exit', (code) => resolve(code)))
  toLink(worker).send({ millrace: 'stop' })
  // A worker that is still starting may not hear the message.
  if (listeningSinceMs === undefined) worker.process.kill('SIGTERM')
  using _deadline = clock.timer(stopTimeoutMs + graceMs, () => {
    log.error({ pid: worker.process.pid }, 'worker did not stop in time')
    worker.process.kill('SIGKILL')
  })
  return (await exited) === 0 || listeningSinceMs === undefined
}

function toLink(worker: Worker): Link {
  return {
    send: (message) => {
      // A worker that is going away cannot be told; its exit says the rest.
      if (worker.isConnected()) worker.send(message, () => undefined)
    },
    onMessage: (handler) => void worker.on('message', handler)
  }
}
