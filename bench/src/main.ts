// `npm run bench -- <name>`: runs a benchmark and writes its result. Exits with 1 when a floor is missed or requests
// failed, 2 when the command line is wrong.
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { toTable, writeResult } from './report.ts'
import { minRounds, runSuite } from './run-suite.ts'
import { gSingle } from './suites/g-single.ts'
import type { Suite } from './suites/suite.ts'

const suites: readonly Suite[] = [gSingle]

const usage = `usage: npm run bench -- <name> [options]

${suites.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}

  --rounds <n>        rounds that count (default ${minRounds}; fewer are not published)
  --seconds <s>       length of a window (default 2)
  --connections <n>   concurrent connections (default 128)
  --seed <n>          seed of the workload and of the order (default 1)
  --out <folder>      where the result is written (default bench/results)
  --json              print the result as JSON
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    process.stderr.write(usage)
    return 2
  }
  const log = (line: string): void => void process.stderr.write(`${line}\n`)
  const result = await runSuite(options.suite, options, log)
  const paths = writeResult(result, options.out)
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `\n${toTable(result)}\n`)
  log(`written to ${paths.json} and ${paths.markdown}`)
  const missed = result.comparisons.some(({ verdict }) => verdict === 'below the floor')
  return missed || result.variants.some(({ failures }) => failures > 0) ? 1 : 0
}

interface Options {
  readonly suite: Suite
  readonly rounds: number
  readonly windowMs: number
  readonly connections: number
  readonly seed: number
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
      out: { type: 'string', default: fileURLToPath(new URL('../results', import.meta.url)) },
      json: { type: 'boolean', default: false }
    }
  })
  const suite = suites.find(({ name }) => name === positionals[0])
  const numbers = [values.rounds, values.seconds, values.connections, values.seed].map(Number)
  const [rounds = 0, seconds = 0, connections = 0, seed = 0] = numbers
  if (suite === undefined || positionals.length !== 1 || numbers.some((value) => !(value > 0))) return undefined
  return { suite, rounds, windowMs: seconds * 1_000, connections, seed, out: values.out, json: values.json }
}
