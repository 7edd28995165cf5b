// G-single: what a single event costs at the edge, in CPU of the gateway, against Fastify that answers 202 and does
// nothing. Every 202 of the gateway was acknowledged by a real Kafka and deduplicated by a real Redis.
import { createW1, createW2 } from '../gen/workloads.ts'
import { openGatewayParts, singleVariant } from './gateway-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

export const gSingle: Suite = {
  name: 'g-single',
  about: 'gateway, single events of 300 (W1) and 900 bytes (W2), against raw Fastify',
  comparisons: [
    { variant: 'gateway W1', reference: 'raw fastify W1', goal: 0.75, floor: 0.55 },
    { variant: 'gateway W2', reference: 'raw fastify W2', goal: 0.75, floor: 0.55 }
  ],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openGatewayParts(settings, log))
  const raw = await parts.reference('references/raw-fastify.ts')
  const { seed, connections } = settings
  const opened = opening.move()
  return {
    variants: [
      singleVariant('gateway W1', parts.gateway, createW1(seed, `s${seed}`), parts, connections),
      singleVariant('raw fastify W1', raw, createW1(seed, `s${seed}`), parts, connections),
      singleVariant('gateway W2', parts.gateway, createW2(seed, `l${seed}`), parts, connections),
      singleVariant('raw fastify W2', raw, createW2(seed, `l${seed}`), parts, connections)
    ],
    otherPids: parts.stack.pids,
    versions: parts.versions,
    settings: parts.settings,
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
