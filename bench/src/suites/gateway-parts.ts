// What the benchmarks of the gateway share: the stack, the running gateway, and variants over HTTP.
import fastifyPackage from 'fastify/package.json' with { type: 'json' }
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { openBenchStack } from '../bench-stack.ts'
import type { BenchStack } from '../bench-stack.ts'
import { startChildServer } from '../child.ts'
import { batchHeaders, batchSize } from '../gen/batches.ts'
import type { BatchForm } from '../gen/batches.ts'
import type { Workload } from '../gen/workloads.ts'
import type { Variant } from '../harness.ts'
import { driveHttp } from '../load.ts'
import type { BenchSettings } from './suite.ts'

/** A server to be loaded. */
export interface Target {
  readonly url: string
  readonly pid: () => number | undefined
}

export interface GatewayParts extends AsyncDisposable {
  readonly stack: BenchStack
  readonly gateway: Target & { readonly service: RunningService }
  /** Headers with the key of the project. */
  readonly authorization: Readonly<Record<string, string>>
  readonly versions: Readonly<Record<string, string>>
  /** What every suite of the gateway says about itself. */
  readonly settings: Readonly<Record<string, string | number>>
  /** Starts a reference of this folder; it ends with the parts. */
  reference(file: string, env?: Readonly<Record<string, string>>): Promise<Target>
}

/** More than a process answers in a second on the machines we know; rendered before each window. */
const bodiesPerSecond = { single: 12_000, batch: 700, referenceBatch: 8_000 }

/** Starts stack and gateway. */
export async function openGatewayParts(settings: BenchSettings, log: (line: string) => void): Promise<GatewayParts> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, pepper, folder, writeKey } = stack
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['gateway'], ports: 'ephemeral', restart: false })
  )
  const service = running.service('gateway')
  const opened = opening.move()
  return {
    stack,
    gateway: { url: service.url, pid: () => service.pid, service },
    authorization: { authorization: `Bearer ${writeKey}` },
    versions: { fastify: fastifyPackage.version, ...stack.versions },
    settings: { connections: settings.connections, acks: 'all', partitions: 4, dedup: 'lease', batch: batchSize },
    async reference(file, env) {
      const child = opened.use(await startChildServer(file, env))
      return { url: child.url, pid: () => child.pid }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** `target` under single events. */
export function singleVariant(
  name: string,
  target: Target,
  workload: Workload,
  parts: GatewayParts,
  connections: number
): Variant {
  const load = {
    url: `${target.url}/v1/events`,
    headers: { 'content-type': 'application/json', ...parts.authorization },
    connections,
    expectedStatus: 202,
    bodies: workload.render,
    bodiesPerSecond: bodiesPerSecond.single
  }
  return { name, pids: () => pidsOf(target), drive: (ms) => driveHttp(load, ms) }
}

export interface BatchVariant {
  readonly name: string
  readonly target: Target
  readonly workload: Workload
  readonly form: BatchForm
  /** Whether the target is a reference that answers at once. */
  readonly fast?: boolean
  /** Duplicates that every answer must name; not looked at when absent. */
  readonly duplicates?: number
}

/** Batches compete with fewer connections: a hundred events each. */
export function batchConnections(connections: number): number {
  return Math.max(1, Math.round(connections / 4))
}

/** A target under batches. */
export function batchVariant(options: BatchVariant, parts: GatewayParts, connections: number): Variant {
  const { name, target, workload, form, fast = false, duplicates } = options
  const isRight = (body: string): boolean => body.split('"status":"duplicate"').length - 1 === duplicates
  const load = {
    url: `${target.url}/v1/events/batch`,
    headers: { ...batchHeaders[form], ...parts.authorization },
    connections: batchConnections(connections),
    expectedStatus: 202,
    bodies: workload.render,
    bodiesPerSecond: fast ? bodiesPerSecond.referenceBatch : bodiesPerSecond.batch,
    eventsPerBody: batchSize,
    ...(duplicates === undefined ? undefined : { isRight })
  }
  return { name, pids: () => pidsOf(target), drive: (ms) => driveHttp(load, ms) }
}

function pidsOf({ pid }: Target): readonly number[] {
  const own = pid()
  return own === undefined ? [] : [own]
}
