// The stack without a launcher that stays: started and left in the background, looked at, ended, wiped.
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { AppError, systemClock } from '@millrace/kernel'
import { brokersOf, readEndpoints } from './endpoints.ts'
import type { Endpoints } from './endpoints.ts'
import { layout } from './layout.ts'
import { endLeftovers, runningParts } from './leftovers.ts'
import { ensureKafkaCluster } from './kafka-cluster.ts'
import { partNamesOf } from './part.ts'
import type { PartName } from './part.ts'
import { createPartRunner } from './part-runner.ts'
import { createParts } from './parts.ts'
import { defaultPorts } from './ports.ts'
import type { PortName, Ports } from './ports.ts'
import { removeOutsidePlace } from './postgres-place.ts'
import { ensureSecrets } from './secrets.ts'
import { createStack, startStack } from './stack.ts'
import type { Stack, StackOptions, StackPart } from './stack.ts'
import { lockHolder, takeLock } from './stack-lock.ts'

/** How a data folder's stack is doing. */
export interface StackStatus {
  readonly dataDir: string
  /** The launcher that holds the folder (`npm start`, a test run), if there is one. */
  readonly launcherPid: number | undefined
  readonly parts: readonly (Pick<StackPart, 'name' | 'pid' | 'logFile'> & { readonly port: number | undefined })[]
  readonly endpoints: Endpoints | undefined
}

/** Whether every part runs, none, or some. */
export function stackState({ parts }: StackStatus): 'up' | 'down' | 'partial' {
  const running = parts.filter(({ pid }) => pid !== undefined).length
  if (running === 0) return 'down'
  return running === parts.length ? 'up' : 'partial'
}

/**
 * Starts the stack and leaves it running when the caller ends. A stack that is up already stays as it is; one of which
 * only some parts run is ended and started anew. Throws PIPE_STACK when it was made with another number of brokers.
 */
export async function stackUp(options: StackOptions): Promise<StackStatus> {
  const before = stackStatus(options.dataDir)
  if (stackState(before) === 'up') {
    await ensureKafkaCluster(before.dataDir, options.brokers)
    return before
  }
  const stack = await startStack(options)
  await stack.leave()
  return stackStatus(options.dataDir)
}

/**
 * Ends what runs of a data folder. The names it ended; none when nothing ran. Throws PIPE_STACK while a launcher holds
 * the folder: that one would only see its parts die.
 */
export async function stackDown(dataDir: string, log: (line: string) => void = () => {}): Promise<readonly PartName[]> {
  const folder = resolve(dataDir)
  if (runningParts(folder).length === 0 && lockHolder(folder) === undefined) return []
  await using _lock = await takeLock(folder)
  return await endLeftovers(folder, { clock: systemClock, log })
}

/** What runs of a data folder. Reads only. */
export function stackStatus(dataDir: string): StackStatus {
  const folder = resolve(dataDir)
  const running = runningParts(folder)
  const endpoints = readEndpoints(folder)
  const parts = partNamesOf(endpoints === undefined ? 1 : brokersOf(endpoints)).map((name) => {
    const part = running.find((each) => each.name === name)
    return { name, pid: part?.pid, port: part?.ports[name], logFile: layout.log(folder, name) }
  })
  return { dataDir: folder, launcherPid: lockHolder(folder)?.pid, parts, endpoints }
}

/** Ends the stack and removes its data folder, PostgreSQL's files outside of it included. */
export async function stackWipe(dataDir: string): Promise<void> {
  const folder = resolve(dataDir)
  const holder = lockHolder(folder)
  if (holder !== undefined) {
    throw new AppError('PIPE_STACK', `the stack in ${folder} is run by process ${holder.pid}: stop that one first`)
  }
  await stackDown(folder)
  await removeOutsidePlace(folder)
  await rm(folder, { recursive: true, force: true })
}

/**
 * A handle of a stack that somebody else started and that runs now: signals and restarts act on the same processes.
 * Its `stop` and `leave` do nothing, the starter ends the stack. Throws PIPE_STACK unless every part has run.
 */
export async function attachStack(dataDir: string): Promise<Stack> {
  const folder = resolve(dataDir)
  const endpoints = readEndpoints(folder)
  const running = runningParts(folder)
  if (endpoints === undefined || running.length < partNamesOf(brokersOf(endpoints)).length) {
    throw new AppError('PIPE_STACK', `the stack in ${folder} is not running`)
  }
  const known: Partial<Record<PortName, number>> = Object.assign({}, ...running.map(({ ports }) => ports))
  const ports: Ports = { ...defaultPorts, ...known }
  const kafka = await ensureKafkaCluster(folder)
  const context = { dataDir: folder, ports, kafka, secrets: await ensureSecrets(folder), log: () => {} }
  const options = { dataDir: folder, clock: systemClock, onExit: () => {} }
  const runners = createParts(context).map((part) => createPartRunner(part, options))
  const nothing = (): Promise<void> => Promise.resolve()
  return createStack({ dataDir: folder, endpoints, runners }, { stop: nothing, leave: nothing })
}
