// G-single: what a single event costs at the edge, in CPU of the gateway, against Fastify that answers 202 and does
// nothing. Every 202 of the gateway was acknowledged by a real Kafka and deduplicated by a real Redis.
import fastifyPackage from 'fastify/package.json' with { type: 'json' }
import { startServices } from '@millrace/local-stack/supervisor'
import { openBenchStack } from '../bench-stack.ts'
import { startChildServer } from '../child.ts'
import { createW1 } from '../gen/workloads.ts'
import type { Variant } from '../harness.ts'
import { driveHttp } from '../load.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

/** More than one process answers in a second on the machines we know; rendered before each window. */
const bodiesPerSecond = 12_000

export const gSingle: Suite = {
  name: 'g-single',
  about: 'gateway, single events of 300 bytes, against raw Fastify',
  comparisons: [{ variant: 'gateway', reference: 'raw fastify', goal: 0.75, floor: 0.55 }],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, pepper, folder, writeKey } = stack
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['gateway'], ports: 'ephemeral', restart: false })
  )
  const gateway = running.service('gateway')
  const reference = opening.use(await startChildServer('references/raw-fastify.ts'))
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${writeKey}` }
  const variant = (name: string, url: string, pid: () => number | undefined, seed: number): Variant => {
    const workload = createW1(seed, `s${seed}`)
    const load = {
      url: `${url}/v1/events`,
      headers,
      connections: settings.connections,
      expectedStatus: 202,
      bodies: workload.render,
      bodiesPerSecond
    }
    return { name, pids: () => [pid()].filter((each) => each !== undefined), drive: (ms) => driveHttp(load, ms) }
  }
  const opened = opening.move()
  return {
    variants: [
      variant('gateway', gateway.url, () => gateway.pid, settings.seed),
      variant('raw fastify', reference.url, () => reference.pid, settings.seed)
    ],
    otherPids: stack.pids,
    versions: { fastify: fastifyPackage.version, ...stack.versions },
    settings: { workload: 'W1', connections: settings.connections, acks: 'all', partitions: 4, dedup: 'lease' },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
