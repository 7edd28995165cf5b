// A loader without Kafka for the fault suite, so that hundreds of doubts take a minute: the handler of batches, the rows and
// the client of ClickHouse are the service's own; in place of the log stand lanes of made-up records. A batch is handled
// again at once after any doubt, and a lane goes on when it is done. Prints `to <lane> <offset>` for what it would commit and
// `doubt` for each attempt that failed; after a line on stdin it ends with what is under way, and prints `end`.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createEnrich } from '@millrace/contracts'
import { isTransient, systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { madeRaw } from '@millrace/testkit/faults/warehouse/made-lanes'
import { createRandom } from '@millrace/testkit/random'
import { createTableCheck } from '@millrace/warehouse/check-tables'
import { createToEntry } from '@millrace/warehouse/entry'
import { loaderMetrics } from '../src/metrics.ts'
import { createPlantedLoad } from '../src/planted.ts'

const { CLICKHOUSE_URL: url = '', TOPIC: topic = '', LANES = '4', SEED = '1', PLANTED = '' } = process.env
const lanes = Number(LANES)
const clock = systemClock
const clickhouse = await openClickhouse({
  url,
  log: createSilentLogger(),
  applicationName: 'keep-loading',
  requestTimeoutMs: 10_000
})
const load = createPlantedLoad(
  {
    clickhouse,
    checkTables: createTableCheck(clickhouse),
    metrics: bindMetrics(loaderMetrics, createRegistry()),
    clock,
    faults: { at: () => undefined }
  },
  new Set(PLANTED.split(','))
)
const toEntry = createToEntry(createEnrich())
const context = { signal: new AbortController().signal, progress: () => {} }
const state = { ending: false }
const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function keepLoading(lane: number): Promise<void> {
  const random = createRandom(`${SEED}-${lane}`)
  for (let from = 0; !state.ending;) {
    const to = from + 20 + random.below(180)
    const records = Array.from({ length: to - from }, (_, index) => madeRaw(topic, lane, lanes, from + index))
    const items = records.map(toEntry).flatMap((entry) => (entry.kind === 'item' ? [entry.item] : []))
    const ranges = [{ topic, partition: lane, from: BigInt(from), to: BigInt(to) }]
    while (!(await isDone({ items, ranges }))) await clock.sleep(5 + random.below(20))
    say(`to ${lane} ${to}`)
    // One that does not wait for the server would pile up batches.
    if (PLANTED !== '') await clock.sleep(100)
    from = to
  }
}

async function isDone(batch: Parameters<typeof load>[0]): Promise<boolean> {
  try {
    await load(batch, context)
    return true
  } catch (error) {
    if (!isTransient(error)) throw error
    say('doubt')
    return false
  }
}

const stopped = once(createInterface(process.stdin), 'line').then(() => (state.ending = true))
say('ready')
await Promise.all(Array.from({ length: lanes }, (_, lane) => keepLoading(lane)))
await stopped
say('end')
process.exit(0)
