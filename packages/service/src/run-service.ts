// The only lifecycle code: reads the environment, starts one service, and stops it in order. States: starting -> up ->
// draining (not ready, intake still open) -> stopping (intake closed, resources disposed in reverse) -> exit.
import { AppError, systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { load } from '@millrace/config'
import type { ConfigOf, CrossRule, Spec, httpFields, logFields } from '@millrace/config'
import { addOpsRoutes, createLogger, createOpsApp, createRegistry } from '@millrace/observability'
import type { HealthCheck, HttpApp, Logger, OpsState, Registry } from '@millrace/observability'
import packageJson from '../package.json' with { type: 'json' }
import { createFaults, plantedBugs } from './faults.ts'
import type { Faults } from './faults.ts'
import { partConnections } from './part-connections.ts'
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
  const stopAsked = onStopSignal(() => exit(1))
  const { version } = packageJson
  let draining = false
  await using stack = new AsyncDisposableStack()
  try {
    const faults = createFaults(process.env['MILLRACE_FAULTS'], process.env['MILLRACE_TEST'] === '1')
    const planted = plantedBugs(process.env['MILLRACE_PLANTED_BUG'], process.env['MILLRACE_TEST'] === '1')
    const context = { config, log, registry, clock, stack, signal: intake.signal, faults, planted, version }
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
    const app = running.app ?? createOpsApp(state)
    if (running.app !== undefined) addOpsRoutes(app, state)
    app.addHook('preClose', () => partConnections(app.server, clock))
    const address = await app.listen({ port: PORT, host: HOST })
    log.info({ address, version }, 'started')

    const early = running.done === undefined ? never : running.done.then(() => endedEarly(name))
    const reason = await Promise.race([stopAsked, early])
    draining = true
    log.info({ reason }, 'stopping')
    clock.timer(STOP_TIMEOUT_MS, () => {
      log.error({ timeoutMs: STOP_TIMEOUT_MS }, 'stop took too long')
      exit(1)
    })
    if (DRAIN_DELAY_MS > 0) await clock.sleep(DRAIN_DELAY_MS)
    intake.abort(new AppError('PIPE_DEADLINE', `${name} is stopping`))
    await app.close()
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
