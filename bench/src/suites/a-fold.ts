// A-fold: what the aggregator costs, against a consumer that does nothing; and what sessions cost of it.
import { aggregatorVariant, openStreamParts, referenceVariant, streamRecords } from './aggregator-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4
/** More than each takes in a second. */
const perSecond = { aggregator: 60_000, noop: 120_000 }
const noopFile = 'references/noop-consumer.ts'

export const aFold: Suite = {
  name: 'a-fold',
  about: 'the aggregator under a backlog, against a kafkajs consumer that does nothing, and without sessions',
  comparisons: [
    { variant: 'aggregator', reference: 'no-op', goal: 0.22, floor: 0.15 },
    { variant: 'aggregator', reference: 'without sessions', goal: 0.9, floor: 0.75 }
  ],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openStreamParts(log))
  for (const id of ['fold', 'plain', 'noop']) await parts.project(id, partitions)
  const aggregators = await parts.aggregators('fold', 1)
  const plain = await parts.aggregators('plain', 1)
  const child = await parts.reference(noopFile, 'noop')
  const load = (projectId: string, sessions = true) => ({
    projectId,
    records: streamRecords(seed, projectId, partitions, { sessions }),
    perSecond: perSecond.aggregator
  })
  const opened = opening.move()
  return {
    variants: [
      aggregatorVariant('aggregator', parts, aggregators, load('fold')),
      aggregatorVariant('without sessions', parts, plain, load('plain', false)),
      referenceVariant('no-op', parts, { file: noopFile, child }, { ...load('noop'), perSecond: perSecond.noop })
    ],
    otherPids: parts.stack.pids,
    versions: parts.stack.versions,
    settings: { partitions, bytesPerEvent: 330, codec: 'zstd' },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
