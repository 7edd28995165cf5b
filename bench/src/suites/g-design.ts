// G-design: what the design of the gateway is worth, against a naive twin on the same stores: per event one GET, one
// INCR, one SET NX and one send.
import { createBatches } from '../gen/batches.ts'
import { createEvents, createW1 } from '../gen/workloads.ts'
import { batchVariant, openGatewayParts, singleVariant } from './gateway-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

export const gDesign: Suite = {
  name: 'g-design',
  about: 'gateway, single events and batches, against a naive twin that does each event alone',
  comparisons: [
    { variant: 'gateway W1', reference: 'naive W1', goal: 2.7, floor: 2 },
    { variant: 'gateway W3', reference: 'naive W3', goal: 8, floor: 5 }
  ],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openGatewayParts(settings, log))
  const { seed, connections } = settings
  const { KAFKA_BROKERS, REDIS_DEDUP_URL } = parts.stack.endpoints
  const env = { KAFKA_BROKERS, REDIS_DEDUP_URL, NAIVE_TOPIC: 'events.bench' }
  const naive = await parts.reference('references/naive-gateway.ts', env)
  const batches = (run: string) => createBatches('W3', createEvents(seed, run), 'json')
  const form = 'json' as const
  const opened = opening.move()
  return {
    variants: [
      singleVariant('gateway W1', parts.gateway, createW1(seed, `s${seed}`), parts, connections),
      singleVariant('naive W1', naive, createW1(seed, `n${seed}`), parts, connections),
      batchVariant(
        { name: 'gateway W3', target: parts.gateway, workload: batches(`b${seed}`), form },
        parts,
        connections
      ),
      batchVariant({ name: 'naive W3', target: naive, workload: batches(`nb${seed}`), form }, parts, connections)
    ],
    otherPids: parts.stack.pids,
    versions: parts.versions,
    settings: parts.settings,
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
