// Runs the services of a local pipeline as processes of their own and keeps them running. `millrace start`, the e2e
// tests and the fault suites start services here and nowhere else. It knows of a service: its settings come by
// environment, /readyz tells readiness, SIGTERM stops it gracefully.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AppError, systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { repositoryRoot } from './layout.ts'
import { freePorts, isFree } from './listen.ts'
import { portOwner } from './port-owner.ts'
import { endStaleServices, recordServices } from './service-record.ts'
import { portVariable, services } from './services.ts'
import type { ServiceName, ServiceSpec } from './services.ts'
import { supervise } from './supervised.ts'
import type { ServiceProcess, Supervised, SupervisedState, SupervisorEvent } from './supervised.ts'

export interface SupervisorOptions {
  /** Where the stack listens, as environment variables: KAFKA_BROKERS, DATABASE_URL, REDIS_*_URL, CLICKHOUSE_URL. */
  readonly endpoints: Readonly<Record<string, string>>
  /** API_KEY_PEPPER of the services. */
  readonly pepper: string
  /** This run's own folder: logs go to `logs/<name>.log` in it, the record of running processes to `services.json`. */
  readonly folder: string
  /** Free ports, or a port for some services; the default is the port of the list. */
  readonly ports?: 'ephemeral' | Partial<Record<ServiceName, number>>
  /** Services to run; all of them by default. */
  readonly only?: readonly ServiceName[]
  /** Further settings for every service. */
  readonly env?: Readonly<Record<string, string>>
  /** Further settings for one service. */
  readonly serviceEnv?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>
  /** Settings for the first process of a service only: a fault that kills must not kill the restarted one too. */
  readonly firstEnv?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>
  /** Settings for the n-th process of a service (from 1): a fault for each life of it. */
  readonly startEnv?: (name: ServiceName, start: number) => Readonly<Record<string, string>>
  /** Whether a service that exits is started again by itself; default true. */
  readonly restart?: boolean
  readonly startTimeoutMs?: number
  readonly stopTimeoutMs?: number
  readonly onEvent?: (event: SupervisorEvent) => void
  /** Gives up the start; what runs by then is ended. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
  /** The file that is run, relative to the repository; tests replace it. */
  readonly entry?: (name: ServiceName) => string
}

/** One running service. Values are live: `pid` changes when the service is started again. */
export interface RunningService {
  readonly name: ServiceName
  readonly port: number
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  readonly logFile: string
  readonly group: string | undefined
  /** Process id, undefined while no process runs. */
  readonly pid: number | undefined
  readonly state: SupervisedState
  /** Processes started so far. */
  readonly starts: number
  /** Sends a signal to the process; the supervisor starts a dead one again. */
  kill(signal: NodeJS.Signals): void
  /** Graceful stop and a new process; resolves when that is ready. */
  restart(): Promise<void>
  /** Resolves when the service is up. */
  ready(): Promise<void>
  /** Graceful stop; the service stays down. */
  stop(): Promise<void>
}

/** All services of one run; disposing it stops them in order. */
export interface RunningServices extends AsyncDisposable {
  readonly all: readonly RunningService[]
  /** The service of that name; PIPE_NOT_FOUND when it is not part of this run. */
  service(name: ServiceName): RunningService
  /** Ends every process with SIGKILL, for a second Ctrl-C. */
  killAll(): void
}

const maxLogBytes = 20_000_000

/**
 * Starts services in parallel and resolves when all are ready. Ends processes that an earlier, killed run left behind
 * first. Throws PIPE_STACK, naming the log, when one does not start or a port is taken; nothing is left running then.
 */
export async function startServices(options: SupervisorOptions): Promise<RunningServices> {
  const clock = options.clock ?? systemClock
  const wanted = services.filter(({ name }) => options.only?.includes(name) ?? true)
  const logs = join(options.folder, 'logs')
  mkdirSync(logs, { recursive: true })
  await endStaleServices(options.folder, clock)
  const ports = await chooseServicePorts(wanted, options.ports ?? {})
  const entry = options.entry ?? ((name: ServiceName) => `services/${name}/src/main.ts`)
  const running: RunningService[] = []
  const record = (): void => recordServices(options.folder, running)
  for (const spec of wanted) running.push(runOne(spec, ports.get(spec.name) ?? spec.port))

  function runOne(spec: ServiceSpec, port: number): RunningService {
    const { name } = spec
    const logFile = join(logs, `${name}.log`)
    const url = `http://127.0.0.1:${port}`
    rotate(logFile)
    const supervised = supervise({
      name,
      clock,
      logFile,
      restart: options.restart ?? true,
      startTimeoutMs: options.startTimeoutMs ?? 60_000,
      stopTimeoutMs: options.stopTimeoutMs ?? 28_000,
      spawn: (start) => spawnService([engineFlag(name), entry(name)], logFile, serviceEnv(options, name, port, start)),
      probe: (signal) => answersReady(url, signal),
      onEvent: (event) => {
        if (event.kind === 'started') record()
        options.onEvent?.(event)
      }
    })
    return view(spec, supervised, { port, url, logFile })
  }

  record()
  const all: RunningServices = {
    all: running,
    service: (name) => find(running, name),
    killAll: () => running.forEach((service) => service.kill('SIGKILL')),
    async [Symbol.asyncDispose]() {
      for (const stage of new Set(services.map(({ stopStage }) => stopStage).toSorted((a, b) => a - b))) {
        const names = services.filter(({ stopStage }) => stopStage === stage).map(({ name }) => name)
        await Promise.all(running.filter(({ name }) => names.includes(name)).map((service) => service.stop()))
      }
      record()
    }
  }
  try {
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(options.signal?.reason)
    if (options.signal?.aborted === true) abort()
    options.signal?.addEventListener('abort', abort, { once: true })
    await Promise.race([aborted.promise, Promise.all(running.map((service) => service.ready()))])
    options.signal?.removeEventListener('abort', abort)
  } catch (error) {
    await all[Symbol.asyncDispose]()
    throw error
  }
  return all
}

function view(
  spec: ServiceSpec,
  supervised: Supervised,
  place: { port: number; url: string; logFile: string }
): RunningService {
  return {
    ...place,
    name: spec.name,
    group: spec.group,
    get pid() {
      return supervised.pid()
    },
    get state() {
      return supervised.state()
    },
    get starts() {
      return supervised.starts()
    },
    kill: supervised.kill,
    restart: supervised.restart,
    ready: supervised.ready,
    stop: supervised.stop
  }
}

function find(running: readonly RunningService[], name: ServiceName): RunningService {
  const service = running.find((each) => each.name === name)
  if (service === undefined) throw new AppError('PIPE_NOT_FOUND', `service ${name} is not part of this run`)
  return service
}

/** The whole environment of a service process: nothing of the caller's own environment leaks in. */
function serviceEnv(options: SupervisorOptions, name: ServiceName, port: number, start: number): NodeJS.ProcessEnv {
  return {
    ...services.find((each) => each.name === name)?.env,
    ...options.endpoints,
    API_KEY_PEPPER: options.pepper,
    ...options.env,
    ...options.serviceEnv?.[name],
    ...(start === 1 ? options.firstEnv?.[name] : {}),
    ...options.startEnv?.(name, start),
    PORT: String(port)
  }
}

/** Puts a long log of earlier runs aside; the one before that is gone then. */
function rotate(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > maxLogBytes) renameSync(logFile, `${logFile}.old`)
}

/**
 * A tighter limit for young objects than that of V8: a batch of a hundred events dies young either way, and a gateway at capacity
 * holds 290 MiB instead of 410 at equal CPU (docs/adr/0012-young-arrays.md). Only the command line can set it.
 */
function engineFlag(name: ServiceName): string {
  return `--max-semi-space-size=${services.find((each) => each.name === name)?.youngMiB ?? 32}`
}

/** A process group of its own, so that Ctrl-C on a terminal reaches the launcher alone. */
function spawnService(args: readonly string[], logFile: string, env: NodeJS.ProcessEnv): ServiceProcess {
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, args, {
    cwd: repositoryRoot,
    env,
    detached: true,
    stdio: ['ignore', log, log]
  })
  closeSync(log)
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: 127, signal: null }))
  })
  return { pid: child.pid ?? 0, exited, kill: (signal) => void child.kill(signal) }
}

async function answersReady(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) })
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false
  }
}

type ServicePorts = ReadonlyMap<ServiceName, number>

/** The ports of a run; PIPE_STACK names every one that is taken and its holder. */
export async function chooseServicePorts(
  wanted: readonly ServiceSpec[],
  choice: 'ephemeral' | Partial<Record<ServiceName, number>>
): Promise<ServicePorts> {
  if (choice === 'ephemeral') {
    const free = await freePorts(wanted.length)
    return new Map(wanted.map(({ name }, index) => [name, free[index] ?? 0]))
  }
  const ports = new Map(wanted.map(({ name, port }) => [name, choice[name] ?? port]))
  const problems: string[] = []
  for (const [name, port] of ports) if (!(await isFree(port))) problems.push(await clash(name, port))
  if (problems.length > 0) throw new AppError('PIPE_STACK', problems.join('; '))
  return ports
}

async function clash(name: ServiceName, port: number): Promise<string> {
  const owner = await portOwner(port)
  const holder = owner === undefined ? 'another process' : `process ${owner.pid} (${owner.command})`
  return `port ${port} of ${name} is taken by ${holder}: stop it, or set ${portVariable(name)}`
}
