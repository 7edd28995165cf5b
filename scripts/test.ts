// `npm test [unit|integration|e2e|browser] [-- vitest arguments]`: every test of the tree on a stack of its own, next to
// whatever else runs on the machine; the browser tests only when asked for. Ends with `N passed, N failed`; what is left running counts as a failure.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@millrace/kernel'
import { endEverything } from '@millrace/local-stack/end-everything'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import { findMarked } from '@millrace/local-stack/marked-processes'
import type { MarkedProcess } from '@millrace/local-stack/marked-processes'
import { layout, testDataDir } from '@millrace/local-stack/layout'
import { startStack } from '@millrace/local-stack/stack'
import type { TestProgram } from '@millrace/local-stack/system-packages'
import { stackStatus, stackWipe } from '@millrace/local-stack/stack-control'
import { stopSignal } from './stop-signal.ts'
import { closingLine, countReport, parsePlan } from './test-plan.ts'
import type { Part, Plan, Totals } from './test-plan.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const resultsFolder = join(root, '.millrace', 'test-results')
const say = (line: string): void => console.log(`millrace: ${line}`)
using stopping = stopSignal(say, { atOnce: killLeftovers })

/**
 * What the environment of every process of this run holds: the stack and vitest inherit the mark, services get the
 * stack's broker address instead, which is added once the stack runs.
 */
const run = randomBytes(8).toString('hex')
process.env['MILLRACE_TEST_RUN'] = run
const marks = [`MILLRACE_TEST_RUN=${run}`]

/** A part that takes longer hangs: it is ended and counts as failed. */
const longestMinutes: Readonly<Record<Part, number>> = { unit: 5, integration: 12, e2e: 10, browser: 5 }

/** What the tests of a part need besides the programs of the stack. */
const programsOf: Readonly<Partial<Record<Part, readonly TestProgram[]>>> = {
  browser: ['chromium'],
  integration: ['pgbouncer'],
  e2e: ['nginx', 'prometheus']
}

/** Adds the totals of each part to `totals` as it ends, so that a later failure keeps them. */
async function runAll(plan: Plan, totals: Totals[]): Promise<void> {
  if (plan.parts.includes('unit')) totals.push(await runPart('unit', plan, {}))
  const onStack = plan.parts.filter((part) => part !== 'unit')
  if (onStack.length > 0 && !stopping.signal.aborted) await runOnStack(onStack, plan, totals)
}

async function runOnStack(stackParts: readonly Part[], plan: Plan, totals: Totals[]): Promise<void> {
  const more = stackParts.flatMap((part) => programsOf[part] ?? [])
  await ensurePrograms({ log: say, more })
  await stackWipe(testDataDir)
  say(`starting the test stack in ${testDataDir}`)
  await using stack = await startStack({ dataDir: testDataDir, ports: 'ephemeral', log: say, signal: stopping.signal })
  marks.push(`KAFKA_BROKERS=${stack.endpoints.KAFKA_BROKERS}`)
  const env = { MILLRACE_TEST_ENDPOINTS: layout.endpoints(testDataDir) }
  for (const part of stackParts) {
    if (!stopping.signal.aborted) totals.push(await runPart(part, plan, env))
  }
  say('stopping the test stack')
}

/** Runs one vitest project to its end, with its own report on the terminal. */
async function runPart(part: Part, plan: Plan, env: Readonly<Record<string, string>>): Promise<Totals> {
  say(`running the ${part} tests`)
  const report = join(resultsFolder, `${part}.json`)
  rmSync(report, { force: true })
  mkdirSync(resultsFolder, { recursive: true })
  const args = ['run', '--project', part, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const child = spawn('vitest', [...args, ...plan.vitestArgs], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env }
  })
  using _limit = systemClock.timer(longestMinutes[part] * 60_000, () => {
    say(`the ${part} tests take longer than ${longestMinutes[part]} minutes; ending them`)
    end(child)
  })
  const stop = (): void => end(child)
  stopping.signal.addEventListener('abort', stop)
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(127))
    child.once('close', (exitCode) => resolve(exitCode ?? 1))
  })
  stopping.signal.removeEventListener('abort', stop)
  const counted = countReport(readReport(report), code)
  if (counted === undefined) say(`the ${part} tests left no report`)
  return counted ?? { passed: 0, failed: 1 }
}

/** Asks a process to end, and ends it 10 s later. */
function end(child: ChildProcess): void {
  child.kill('SIGTERM')
  systemClock.timer(10_000, () => void child.kill('SIGKILL'))
}

function readReport(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Vitest failed before its first test, or was ended.
    return undefined
  }
}

/** Names what the run left behind, ends it, and counts it as one failure. */
async function endLeftovers(): Promise<Totals> {
  // Processes that were told to stop may take a moment to be gone.
  const deadline = systemClock.monotonic() + 5_000
  let left = stillRunning()
  while (left.length > 0 && systemClock.monotonic() < deadline) {
    await systemClock.sleep(100)
    left = stillRunning()
  }
  for (const { pid, command } of left) say(`left running by the tests: ${pid} ${command}`)
  killLeftovers()
  return { passed: 0, failed: left.length > 0 ? 1 : 0 }
}

/** The hard end of what the tests started and of their stack. Synchronous: at a second request the process ends next. */
function killLeftovers(): void {
  for (const { pid } of stillRunning()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has just ended by itself.
    }
  }
  endEverything(testDataDir)
}

/** PostgreSQL writes over its environment, so the parts of the stack are looked up by their records too. */
function stillRunning(): MarkedProcess[] {
  const parts = stackStatus(testDataDir).parts.flatMap(({ name, pid }) =>
    pid === undefined ? [] : { pid, command: name }
  )
  const others = findMarked(marks).filter(({ pid }) => !parts.some((part) => part.pid === pid))
  return [...parts, ...others]
}

function sum(totals: readonly Totals[]): Totals {
  return totals.reduce((all, each) => ({ passed: all.passed + each.passed, failed: all.failed + each.failed }), {
    passed: 0,
    failed: 0
  })
}

const totals: Totals[] = []
try {
  await runAll(parsePlan(process.argv.slice(2)), totals)
  stopping.signal.throwIfAborted()
} catch (error) {
  process.stderr.write(`millrace: ${error instanceof Error ? error.message : String(error)}\n`)
  totals.push({ passed: 0, failed: 1 })
}
totals.push(await endLeftovers())
const all = sum(totals)
console.log(closingLine(all))
process.exitCode = all.failed === 0 && all.passed > 0 ? 0 : 1
