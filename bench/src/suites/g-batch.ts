// G-batch: what an event of a batch of 100 costs at the edge, plain (W3), packed by gzip (W5) and zstd (W7) and as lines
// (W6), against raw Fastify with the same bodies and against single events (W1); and what duplicates cost, counted exactly.
import { batchSize, createBatches, encode, repeated, withDuplicates } from '../gen/batches.ts'
import type { BatchForm } from '../gen/batches.ts'
import { createEvents, createW1 } from '../gen/workloads.ts'
import type { Variant } from '../harness.ts'
import { batchVariant, openGatewayParts, singleVariant } from './gateway-parts.ts'
import type { GatewayParts } from './gateway-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const forms: readonly (readonly [name: string, form: BatchForm])[] = [
  ['W3', 'json'],
  ['W5 gzip', 'gzip'],
  ['W6 ndjson', 'ndjson'],
  ['W7 zstd', 'zstd']
]
const poolSize = 64
const knownBatches = 20

export const gBatch: Suite = {
  name: 'g-batch',
  about: 'gateway, batches of 100 in every form and with duplicates, against raw Fastify and single events',
  comparisons: [
    ...forms.map(([name]) => ({ variant: `gateway ${name}`, reference: `raw ${name}`, goal: 0.25, floor: 0.12 })),
    { variant: 'gateway W3', reference: 'gateway W1', goal: 4, floor: 3.5 },
    { variant: 'gateway W5 gzip', reference: 'gateway W3', goal: 0.85, floor: 0.7 },
    { variant: 'gateway W6 ndjson', reference: 'gateway W3', goal: 1.15, floor: 1 },
    { variant: 'gateway W7 zstd', reference: 'gateway W3', goal: 0.9, floor: 0.75 },
    { variant: 'gateway dup 1 %', reference: 'gateway W3', goal: 0.97, floor: 0.9 },
    { variant: 'gateway dup 10 %', reference: 'gateway W3', goal: 0.95, floor: 0.9 }
  ],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openGatewayParts(settings, log))
  const { gateway } = parts
  const { seed, connections } = settings
  const raw = await parts.reference('references/raw-fastify.ts')
  const known = await storeKnown(parts, seed)
  const variants: Variant[] = [singleVariant('gateway W1', gateway, createW1(seed, `s${seed}`), parts, connections)]
  for (const [name, form] of forms) {
    const fresh = createBatches(name, createEvents(seed, `${form}${seed}`), form)
    const again = repeated(createBatches(name, createEvents(seed, `r${seed}`), form), poolSize)
    variants.push(
      batchVariant({ name: `gateway ${name}`, target: gateway, workload: fresh, form }, parts, connections),
      batchVariant({ name: `raw ${name}`, target: raw, workload: again, form, fast: true }, parts, connections)
    )
  }
  for (const share of [1, 10]) {
    const next = withDuplicates(createEvents(seed, `d${share}-${seed}`), known, share)
    const workload = createBatches(`dup ${share} %`, next, 'json')
    const one = { name: `gateway dup ${share} %`, target: gateway, workload, form: 'json' as const, duplicates: share }
    variants.push(batchVariant(one, parts, connections))
  }
  const opened = opening.move()
  return {
    variants,
    otherPids: parts.stack.pids,
    versions: parts.versions,
    settings: parts.settings,
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Events that the gateway has stored and marked. */
async function storeKnown(parts: GatewayParts, seed: number): Promise<readonly string[]> {
  const next = createEvents(seed, `known${seed}`)
  const known: string[] = []
  for (let batch = 0; batch < knownBatches; batch++) {
    const events = Array.from({ length: batchSize }, next)
    const response = await fetch(`${parts.gateway.url}/v1/events/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...parts.authorization },
      body: new Uint8Array(encode(events, 'json'))
    })
    if (response.status !== 202) throw new Error(`storing known events: ${response.status} ${await response.text()}`)
    known.push(...events)
  }
  return known
}
