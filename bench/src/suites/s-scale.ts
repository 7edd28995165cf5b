// S-scale: what an event costs with three aggregators, against one.
import { aggregatorVariant, openStreamParts, streamRecords } from './aggregator-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 12
const perSecond = 60_000

export const sScale: Suite = {
  name: 's-scale',
  about: `three aggregators on ${partitions} partitions against one: CPU per event`,
  // At most 1.2x, and never 1.3x, of the cost.
  comparisons: [{ variant: 'three', reference: 'one', goal: 0.83, floor: 0.77 }],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openStreamParts(log))
  const variants = []
  for (const [name, count] of [
    ['one', 1],
    ['three', 3]
  ] as const) {
    await parts.project(name, partitions)
    const services = await parts.aggregators(name, count)
    const records = streamRecords(seed, name, partitions)
    variants.push(aggregatorVariant(name, parts, services, { projectId: name, records, perSecond }))
  }
  const opened = opening.move()
  return {
    variants,
    otherPids: parts.stack.pids,
    versions: parts.stack.versions,
    settings: { partitions, bytesPerEvent: 330, codec: 'zstd' },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
