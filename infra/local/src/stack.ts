// The local stack: starts all parts, each as a process of its own, and ends them in order. It recovers from an earlier
// launcher that was killed: parts that still run are ended first, by pid and start time.
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { AppError, systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { choosePorts } from './choose-ports.ts'
import type { PortChoice } from './choose-ports.ts'
import { toEndpoints } from './endpoints.ts'
import type { Endpoints } from './endpoints.ts'
import { layout } from './layout.ts'
import { endLeftovers } from './leftovers.ts'
import { ensureKafkaCluster } from './kafka-cluster.ts'
import type { BrokerCount, PartName } from './part.ts'
import { createPartRunner } from './part-runner.ts'
import type { PartExit, PartRunner } from './part-runner.ts'
import { createParts } from './parts.ts'
import { ensureSecrets } from './secrets.ts'
import { takeLock } from './stack-lock.ts'
import { writeState } from './state-file.ts'

export interface StackOptions {
  readonly dataDir: string
  /** Default: the ports of ports.ts. */
  readonly ports?: PortChoice
  /** Kafka brokers; default what the data folder has, one in a new folder. */
  readonly brokers?: BrokerCount | undefined
  /** Ports that the brokers tell instead of their own, one each: those of proxies in front of them. */
  readonly advertisedPorts?: readonly number[]
  /** Told one aligned line per part when it is ready, and of slow steps. */
  readonly log?: (line: string) => void
  /** Told when a part ends that nobody asked to. */
  readonly onPartExit?: PartExit
  /** Gives up the start; what runs by then is ended. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
}

/** One part of a running stack. Values are live. */
export interface StackPart {
  readonly name: PartName
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  readonly port: number
  readonly logFile: string
}

/** A running stack; disposing it is `stop()`. */
export interface Stack extends AsyncDisposable {
  readonly dataDir: string
  readonly endpoints: Endpoints
  readonly parts: readonly StackPart[]
  /** The part of that name. */
  part(name: PartName): StackPart
  /** Sends a signal to a part, SIGSTOP and SIGCONT included; false when it does not run. */
  kill(name: PartName, signal: NodeJS.Signals): boolean
  /** Orderly end of one part; its data stays. */
  stopPart(name: PartName): Promise<void>
  /** Ends the part if it runs and starts it on the same port; resolves when it answers. */
  restart(name: PartName): Promise<void>
  /** Ends all parts in order and gives the folder free. */
  stop(): Promise<void>
  /** Gives the folder free and leaves the parts running. */
  leave(): Promise<void>
}

/**
 * Starts the stack of a data folder and resolves when every part answers. Throws PIPE_STACK when another launcher holds
 * the folder, a port is taken, or a part does not start; nothing is left running then.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dataDir = resolve(options.dataDir)
  const log = options.log ?? (() => {})
  const clock = options.clock ?? systemClock
  const signal = options.signal ?? new AbortController().signal
  await mkdir(layout.objects(dataDir), { recursive: true })
  await using rollback = new AsyncDisposableStack()
  const lock = rollback.use(await takeLock(dataDir))
  await endLeftovers(dataDir, { clock, log })
  const cluster = await ensureKafkaCluster(dataDir, options.brokers)
  const ports = await choosePorts(options.ports ?? {}, cluster.brokers)
  const secrets = await ensureSecrets(dataDir)
  const parts = createParts({
    dataDir,
    ports,
    secrets,
    log,
    kafka: { ...cluster, advertisedPorts: options.advertisedPorts }
  })
  const onExit = options.onPartExit ?? (() => {})
  const runners = parts.map((part) => createPartRunner(part, { dataDir, clock, onExit }))
  rollback.defer(() => stopInOrder(runners))
  await startAll(runners, { signal, clock, log })
  const endpoints = toEndpoints(dataDir, ports, secrets)
  await writeState(layout.endpoints(dataDir), endpoints)
  const running = rollback.move()
  return createStack(
    { dataDir, endpoints, runners },
    {
      stop: () => running.disposeAsync(),
      leave: () => Promise.resolve(lock[Symbol.asyncDispose]())
    }
  )
}

interface StackState {
  readonly dataDir: string
  readonly endpoints: Endpoints
  readonly runners: readonly PartRunner[]
}

/** The handle of parts that run already. */
export function createStack(state: StackState, ends: Pick<Stack, 'stop' | 'leave'>): Stack {
  const find = (name: PartName): PartRunner => {
    const runner = state.runners.find((each) => each.part.name === name)
    if (runner === undefined) throw new AppError('PIPE_NOT_FOUND', `the stack has no part ${name}`)
    return runner
  }
  const parts = state.runners.map(toStackPart)
  return {
    dataDir: state.dataDir,
    endpoints: state.endpoints,
    parts,
    part: (name) => toStackPart(find(name)),
    kill: (name, signal) => find(name).kill(signal),
    stopPart: (name) => find(name).stop(),
    async restart(name) {
      const runner = find(name)
      await runner.stop()
      await runner.start(new AbortController().signal)
    },
    ...ends,
    [Symbol.asyncDispose]: ends.stop
  }
}

function toStackPart(runner: PartRunner): StackPart {
  return {
    name: runner.part.name,
    port: runner.part.port,
    logFile: runner.logFile,
    get pid() {
      return runner.current()?.pid
    }
  }
}

interface StartOptions {
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly log: (line: string) => void
}

/** All at once; the first failure gives up the others, whose ends are waited for. */
async function startAll(runners: readonly PartRunner[], { signal, clock, log }: StartOptions): Promise<void> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const startedAtMs = clock.monotonic()
  const starts = runners.map(async (runner) => {
    try {
      await runner.start(either)
    } catch (error) {
      failed.abort(error)
      throw error
    }
    const seconds = ((clock.monotonic() - startedAtMs) / 1_000).toFixed(1).padStart(5)
    log(`${runner.part.name.padEnd(12)} ready in ${seconds} s  127.0.0.1:${runner.part.port}`)
  })
  await Promise.allSettled(starts)
  signal.throwIfAborted()
  // The abort reason is the first failure; the others only followed it.
  failed.signal.throwIfAborted()
}

/** One part after the other: what uses the others' data first, the log last. */
export async function stopInOrder(runners: readonly PartRunner[]): Promise<void> {
  for (const runner of runners) await runner.stop()
}
