// `npm run bench -- <name>`: runs a benchmark and writes its result. Exits with 1 when a floor is missed or requests
// failed, 2 when the command line is wrong.
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { toSentences, toTable, writeResult } from './report.ts'
import type { BenchResult } from './result.ts'
import { minRounds, runSuite } from './run-suite.ts'
import { aFold } from './suites/a-fold.ts'
import { aNaive } from './suites/a-naive.ts'
import { dDedup } from './suites/d-dedup.ts'
import { eVisible } from './suites/e-visible.ts'
import { gBatch } from './suites/g-batch.ts'
import { gDesign } from './suites/g-design.ts'
import { gLoad } from './suites/g-load.ts'
import { gSingle } from './suites/g-single.ts'
import { iAttribution } from './suites/i-attribution.ts'
import { lLoad } from './suites/l-load.ts'
import { oMonitor } from './suites/o-monitor.ts'
import { oRedrive } from './suites/o-redrive.ts'
import { oReplay } from './suites/o-replay.ts'
import { oTrail } from './suites/o-trail.ts'
import { pEnrich } from './suites/p-enrich.ts'
import { pSend } from './suites/p-send.ts'
import { qCache } from './suites/q-cache.ts'
import { qLive } from './suites/q-live.ts'
import { qScan } from './suites/q-scan.ts'
import { rArchive } from './suites/r-archive.ts'
import { rParquet } from './suites/r-parquet.ts'
import { rRecord } from './suites/r-record.ts'
import { sScale } from './suites/s-scale.ts'
import type { BenchSettings, Suite } from './suites/suite.ts'
import { wFan } from './suites/w-fan.ts'

const gateway: readonly Suite[] = [gSingle, gBatch, gDesign, gLoad, pSend, dDedup]
const stream: readonly Suite[] = [aFold, aNaive, sScale, eVisible]
const query: readonly Suite[] = [qCache, qLive, qScan]
const suites: readonly Suite[] = [
  ...gateway,
  ...stream,
  ...query,
  pEnrich,
  rRecord,
  wFan,
  rParquet,
  rArchive,
  lLoad,
  oReplay,
  oRedrive,
  oTrail,
  oMonitor,
  iAttribution
]
/** Names that stand for several benchmarks, run one after the other. */
const groups: Readonly<Record<string, readonly Suite[]>> = { gateway, stream, query }

const usage = `usage: npm run bench -- <name> [options]

  ${'gateway'.padEnd(12)} ${gateway.map(({ name }) => name).join(', ')}, and one table of what they found
  ${'stream'.padEnd(12)} ${stream.map(({ name }) => name).join(', ')}, likewise
  ${'query'.padEnd(12)} ${query.map(({ name }) => name).join(', ')}, likewise
${suites.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}

  --only <a,b>        of a group, these alone
  --rounds <n>        rounds that count (default ${minRounds}; fewer are not published)
  --seconds <s>       length of a window (default 2)
  --connections <n>   concurrent connections (default 128)
  --seed <n>          seed of the workload and of the order (default 1)
  --open-loop <s>     length of an open-loop measurement (default 20)
  --frozen <s>        how long Kafka is frozen where that is measured (default 60)
  --rows <n>          rows that are scanned where that is measured (default 10000000)
  --out <folder>      where the results are written (default bench/results)
  --json              print the results as JSON
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    process.stderr.write(usage)
    return 2
  }
  const log = (line: string): void => void process.stderr.write(`${line}\n`)
  const results: BenchResult[] = []
  for (const suite of options.suites) {
    const result = await runSuite(suite, options, log)
    const paths = writeResult(result, options.out)
    if (!options.json) process.stdout.write(`\n${toTable(result)}\n`)
    log(`written to ${paths.json} and ${paths.markdown}`)
    results.push(result)
  }
  if (options.json) process.stdout.write(`${JSON.stringify(results.length === 1 ? results[0] : results)}\n`)
  else if (results.length > 1) process.stdout.write(`\n${results.flatMap(toSentences).join('\n')}\n`)
  return results.some(isMissed) ? 1 : 0
}

function isMissed({ comparisons, findings, variants }: BenchResult): boolean {
  const verdicts = [...comparisons, ...findings].map(({ verdict }) => verdict)
  return verdicts.includes('below the floor') || variants.some(({ failures }) => failures > 0)
}

interface Options extends BenchSettings {
  readonly suites: readonly Suite[]
  readonly out: string
  readonly json: boolean
}

/** The options of the command line; undefined when it is wrong. */
function readOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: String(minRounds) },
      seconds: { type: 'string', default: '2' },
      connections: { type: 'string', default: '128' },
      seed: { type: 'string', default: '1' },
      'open-loop': { type: 'string', default: '20' },
      frozen: { type: 'string', default: '60' },
      rows: { type: 'string', default: '10000000' },
      only: { type: 'string' },
      out: { type: 'string', default: fileURLToPath(new URL('../results', import.meta.url)) },
      json: { type: 'boolean', default: false }
    }
  })
  const named = groups[positionals[0] ?? ''] ?? suites.filter(({ name }) => name === positionals[0])
  const only = values.only?.split(',')
  const chosen = only === undefined ? named : named.filter(({ name }) => only.includes(name))
  const { seconds: window, 'open-loop': open } = values
  const texts = [values.rounds, window, values.connections, values.seed, open, values.frozen, values.rows]
  const numbers = texts.map(Number)
  const [rounds = 0, seconds = 0, connections = 0, seed = 0, openLoop = 0, frozen = 0, rows = 0] = numbers
  const isWrong = chosen.length === 0 || (only !== undefined && chosen.length !== only.length)
  if (isWrong || positionals.length !== 1 || numbers.some((value) => !(value > 0))) return undefined
  return {
    suites: chosen,
    rounds,
    windowMs: seconds * 1_000,
    connections,
    seed,
    openLoopMs: openLoop * 1_000,
    frozenMs: frozen * 1_000,
    rows,
    out: values.out,
    json: values.json
  }
}
