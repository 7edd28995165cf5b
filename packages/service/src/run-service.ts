// The only lifecycle code: reads the environment, starts one service, and stops it in order. States: starting -> up ->
// draining (not ready, intake still open) -> stopping (intake closed, resources disposed in reverse) -> exit.
import cluster from 'node:cluster'
import { AppError, systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { load } from '@millrace/config'
import type { ConfigOf, CrossRule, Spec, httpFields, logFields } from '@millrace/config'
import {
  addOpsRoutes,
  checkHealth,
  createLogger,
  createOpsApp,
  createRegistry,
  exportMetrics,
  mergeHealth,
  mergeMetrics
} from '@millrace/observability'
import type { Health, HealthCheck, HttpApp, Logger, OpsState, Registry } from '@millrace/observability'
import packageJson from '../package.json' with { type: 'json' }
import { createFaults, plantedBugs } from './faults.ts'
import type { Faults } from './faults.ts'
import { acceptWaiting, endResting, partConnections, stopListening, watchSilent } from './part-connections.ts'
import { tuneEngine } from './engine.ts'
import { createPeers } from './peers.ts'
import type { Link, Peers } from './peers.ts'
import { killWorkers, runPrimary } from './primary.ts'
import { listenAs } from './port-sharing.ts'
import { onStopSignal } from './signals.ts'
import { errorFields } from './log-error.ts'

/** Every service has these settings; spread `logFields` and `httpFields(port)` into its spec. */
export type ServiceSpec = Spec & typeof logFields & ReturnType<typeof httpFields>

/** What a service is built from. Anything it opens goes onto `stack`. */
export interface ServiceContext<S extends ServiceSpec> {
  readonly config: ConfigOf<S>
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly stack: AsyncDisposableStack
  /** Aborts when intake must end. */
  readonly signal: AbortSignal
  /** Fault points, inert outside tests. */
  readonly faults: Faults
  /** Bugs switched on to validate the fault harness; empty outside tests. */
  readonly planted: ReadonlySet<string>
  readonly version: string
  /** The other processes of this service, when it has several. */
  readonly peers: Peers
}

/** A started service as the runner sees it. */
export interface RunningService {
  /** Whether it can take work now. */
  ready(): boolean
  /** Whether its loops still turn; false makes the orchestrator restart it. */
  live?(): boolean
  /** Rejects when the service died; resolving early is a failure too. */
  readonly done?: Promise<void>
  readonly checks?: Readonly<Record<string, HealthCheck>>
  /** The server of a service with an API; closed before the stack is disposed. */
  readonly app?: HttpApp
}

export interface ServiceDefinition<S extends ServiceSpec> {
  readonly name: string
  readonly spec: S
  readonly rules?: readonly CrossRule<S>[]
  /** Processes that share the port; 1 when not said. */
  readonly workers?: (config: ConfigOf<S>) => number
}

/**
 * Runs one service until a signal or its own end, then exits the process: 0 after a stop that was asked for, 1 after
 * wrong settings, a failed start, an early end, a stop past STOP_TIMEOUT_MS or an uncaught error. A second signal exits
 * at once.
 */
export async function runService<S extends ServiceSpec>(
  definition: ServiceDefinition<S>,
  start: (context: ServiceContext<S>) => Promise<RunningService>
): Promise<never> {
  tuneEngine()
  const { name } = definition
  const config = loadOrExit(definition)
  // The spec contains these groups by its constraint; the generic type cannot show it to property access.
  const { LOG_LEVEL, PORT, HOST, DRAIN_DELAY_MS, STOP_TIMEOUT_MS } = config as ConfigOf<ServiceSpec>
  const log = createLogger({ name, level: LOG_LEVEL })
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal(errorFields(error), 'uncaught error')
      exit(1)
    })
  }
  const clock = systemClock
  const startedAtMs = clock.now()
  const registry = createRegistry()
  const intake = new AbortController()
  const workers = definition.workers?.(config) ?? 1
  if (workers > 1 && cluster.isPrimary) {
    const stopAsked = onStopSignal(() => {
      killWorkers()
      exit(1)
    })
    const stopTimeoutMs = DRAIN_DELAY_MS + STOP_TIMEOUT_MS
    return exit(await runPrimary({ workers, port: PORT, host: HOST, log, clock, stopTimeoutMs, stopAsked }))
  }
  const link = cluster.isWorker ? primaryLink() : undefined
  const stopAsked = onStopSignal(() => exit(1), link)
  const peers = createPeers(link, clock)
  const { version } = packageJson
  let draining = false
  await using stack = new AsyncDisposableStack()
  try {
    const faults = createFaults(process.env['MILLRACE_FAULTS'], process.env['MILLRACE_TEST'] === '1')
    const planted = plantedBugs(process.env['MILLRACE_PLANTED_BUG'], process.env['MILLRACE_TEST'] === '1')
    const context = { config, log, registry, clock, stack, signal: intake.signal, faults, planted, version, peers }
    const running = await start(context)
    const state: OpsState = {
      version,
      registry,
      clock,
      startedAtMs,
      ready: () => !draining && running.ready(),
      live: () => running.live?.() ?? true,
      checks: running.checks ?? {}
    }
    const together = link === undefined ? {} : { together: answerTogether(state, peers) }
    const ops = { ...state, ...together }
    const app = running.app ?? createOpsApp(ops)
    if (running.app !== undefined) addOpsRoutes(app, ops)
    let ended = Promise.resolve()
    const silent = watchSilent(app.server)
    app.addHook('preClose', async () => {
      await partConnections(ended, clock)
      silent.end()
      endResting(app.server, ended, clock)
    })
    const address = await app.listen(listenAs({ port: PORT, host: HOST }, link !== undefined))
    log.info({ address, version }, 'started')
    link?.send({ millrace: 'listening', port: Number(new URL(address).port) })

    const early = running.done === undefined ? never : running.done.then(() => endedEarly(name))
    const reason = await Promise.race([stopAsked, early])
    draining = true
    log.info({ reason }, 'stopping')
    if (DRAIN_DELAY_MS > 0) await clock.sleep(DRAIN_DELAY_MS)
    clock.timer(STOP_TIMEOUT_MS, () => {
      log.error({ timeoutMs: STOP_TIMEOUT_MS }, 'stop took too long')
      exit(1)
    })
    await acceptWaiting()
    ended = stopListening(app.server)
    // Replies now tell clients to connect anew; before, every worker must be away from the port, or a connection that
    // one of them is about to take would be lost with it.
    if (link !== undefined) await clock.sleep(workersPartMs)
    intake.abort(new AppError('PIPE_DEADLINE', `${name} is stopping`))
    // A server that closes has no limits of time any more: a half-sent request would hold it until the stop is too long,
    // and nothing on the stack would be closed.
    const cut = clock.timer(STOP_TIMEOUT_MS * requestsShare, () => {
      log.warn('connections are cut: their requests did not end')
      app.server.closeAllConnections()
    })
    await app.close()
    cut[Symbol.dispose]()
    await stack.disposeAsync()
    log.info({ uptimeSeconds: Math.round((clock.now() - startedAtMs) / 1_000) }, 'stopped')
    return exit(0)
  } catch (error) {
    log.fatal(errorFields(error), 'failed')
    clock.timer(STOP_TIMEOUT_MS, () => exit(1))
    await stack.disposeAsync().catch((second: unknown) => log.error(errorFields(second), 'failed to close'))
    return exit(1)
  }
}

/** What one worker answers for all of them: whichever gets the request. */
function answerTogether(state: OpsState, peers: Peers): NonNullable<OpsState['together']> {
  peers.provide('metrics', () => exportMetrics(state.registry))
  peers.provide('health', () => checkHealth(state))
  return {
    // Both ends are this function: what arrives is what was provided, by way of JSON.
    health: async () => mergeHealth(await checkHealth(state), (await peers.collect('health')) as readonly Health[]),
    metrics: async () => await mergeMetrics(await peers.collect('metrics'))
  }
}

/** This worker's channel to its primary. Losing it ends the process: Node's cluster module sees to that. */
function primaryLink(): Link {
  return {
    send: (message) => void process.send?.(message, undefined, undefined, () => undefined),
    onMessage: (handler) => void process.on('message', handler)
  }
}

/** All workers hear of a stop within this time. */
const workersPartMs = 250

/** How much of a stop requests may have; what follows is for the resources. */
const requestsShare = 0.5

const never = new Promise<never>(() => {})

function endedEarly(name: string): never {
  throw new Error(`${name} ended by itself`)
}

function loadOrExit<S extends ServiceSpec>({ name, spec, rules }: ServiceDefinition<S>): ConfigOf<S> {
  try {
    return load(spec, process.env, rules)
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof AppError ? error.message : String(error)}\n`)
    return exit(1)
  }
}

function exit(code: number): never {
  process.exit(code)
}
