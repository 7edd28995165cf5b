// `npm run test:faults -- <suite> [--case name] [--seed n] [--planted bug] [--validate-oracle] [--long] [--json]`:
// hurts a pipeline of its own under load and compares what clients were told with what is there. Exit code 0 only if all is
// as asked.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@millrace/kernel'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import { startStack } from '@millrace/local-stack/stack'
import { stackWipe } from '@millrace/local-stack/stack-control'
import type { CaseResult, FaultSuite } from '@millrace/testkit/faults/fault-case'
import { archiveSuite } from '@millrace/testkit/faults/archive/suite'
import { gatewaySuite } from '@millrace/testkit/faults/gateway/suite'
import { groundSuite } from '@millrace/testkit/faults/ground/suite'
import { monitorSuite } from '@millrace/testkit/faults/operations/long-suite'
import { operationsSuite } from '@millrace/testkit/faults/operations/suite'
import { prSuite } from '@millrace/testkit/faults/pr/suite'
import { isAsAsked, reportLines } from '@millrace/testkit/faults/report'
import { planSuite, runSuite } from '@millrace/testkit/faults/run-suite'
import { querySuite } from '@millrace/testkit/faults/query/suite'
import { streamSuite } from '@millrace/testkit/faults/stream/suite'
import { warehouseSuite } from '@millrace/testkit/faults/warehouse/suite'
import { stopSignal } from './stop-signal.ts'

const suites: readonly FaultSuite[] = [
  groundSuite,
  gatewaySuite,
  streamSuite,
  archiveSuite,
  querySuite,
  warehouseSuite,
  monitorSuite,
  operationsSuite,
  prSuite
]
const folder = join(fileURLToPath(new URL('..', import.meta.url)), '.millrace', 'faults')
const json = process.argv.includes('--json')
/** Progress; beside the results when those are read by a program. */
const say = (line: string): void => (json ? console.error : console.log)(`millrace: ${line}`)
const usage = `npm run test:faults -- <suite> [--case name] [--seed n] [--planted bug] [--validate-oracle] [--long] [--json]
suites: ${suites.map(({ name }) => name).join(', ')}`

async function main(args: string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      case: { type: 'string' },
      seed: { type: 'string' },
      planted: { type: 'string' },
      'validate-oracle': { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false }
    }
  })
  const suite = suites.find(({ name }) => name === positionals[0])
  if (suite === undefined || positionals.length > 1) throw new RangeError(usage)
  const seed = values.seed === undefined ? systemClock.now() % 1_000_000 : Number(values.seed)
  if (!Number.isSafeInteger(seed)) throw new RangeError(`--seed must be a whole number, not '${values.seed}'`)
  const validateOracle = values['validate-oracle']
  const runs = planSuite(suite, { case: values.case, planted: values.planted, validateOracle })

  const runFolder = join(folder, `${suite.name}-${new Date(systemClock.now()).toISOString().replaceAll(':', '-')}`)
  mkdirSync(runFolder, { recursive: true })
  say(`suite ${suite.name}, seed ${seed} (repeat with --seed ${seed}); logs in ${runFolder}`)
  const results = await onStack(runFolder, signal, (stack) =>
    runSuite(suite, runs, { stack, seed, long: values.long, folder: runFolder, clock: systemClock, say, signal })
  )
  const record = JSON.stringify(toRecord(results, seed), undefined, 2)
  writeFileSync(join(runFolder, 'result.json'), `${record}\n`)
  if (json) console.log(record)
  else for (const line of reportLines(results)) console.log(line)
  const asAsked = results.filter((result) => isAsAsked(result, validateOracle)).length
  say(`${asAsked} of ${runs.length} as asked${validateOracle ? ' (every planted bug must turn red)' : ''}`)
  return asAsked === runs.length ? 0 : 1
}

/** However deep the case in hand is: what it started ends with it. */
const orderlyMs = 90_000

/** Runs `work` on a stack of its own, which is gone afterwards, data included. */
async function onStack<T>(
  runFolder: string,
  signal: AbortSignal,
  work: (stack: Awaited<ReturnType<typeof startStack>>) => Promise<T>
): Promise<T> {
  await ensurePrograms({ log: say })
  const dataDir = join(runFolder, 'stack')
  try {
    await using stack = await startStack({ dataDir, ports: 'ephemeral', log: say, signal })
    return await work(stack)
  } finally {
    await stackWipe(dataDir)
  }
}

/** What is kept of a run: enough to repeat it and to publish its figures. */
function toRecord(results: readonly CaseResult[], seed: number): unknown {
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryBytes: totalmem(), node: process.version }
  return { at: new Date(systemClock.now()).toISOString(), commit: currentCommit(), machine, seed, results }
}

function currentCommit(): string | undefined {
  const { status, stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', cwd: folder })
  return status === 0 ? stdout.trim() : undefined
}

try {
  using stopping = stopSignal(say, { orderlyMs })
  process.exitCode = await main(process.argv.slice(2), stopping.signal)
} catch (error) {
  process.stderr.write(`millrace: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
