// Runs one benchmark from its settings to its result.
import { systemClock } from '@millrace/kernel'
import { createRandom } from '@millrace/testkit/random'
import { runInterleaved } from './harness.ts'
import type { Sample, Window } from './harness.ts'
import { readEnvironment } from './machine.ts'
import { readMachine, readProcesses, readUnits } from './proc.ts'
import { toResult } from './result.ts'
import type { BenchResult } from './result.ts'
import type { BenchSettings, Suite } from './suites/suite.ts'

/** Rounds that a result needs to be published. */
export const minRounds = 9
const warmUpMs = 2_000

/** Measures `suite`; `log` is told what happens. */
export async function runSuite(
  suite: Suite,
  settings: BenchSettings,
  log: (line: string) => void
): Promise<BenchResult> {
  const environment = readEnvironment(systemClock.now())
  const units = readUnits()
  const sample = (): Sample => ({
    atMs: systemClock.monotonic(),
    machine: readMachine(units),
    processes: readProcesses(units)
  })
  await using opened = await suite.open(settings, log)
  log(`${suite.name}: ${suite.about}; ${settings.rounds} rounds and one that is thrown away`)
  const windows = await runInterleaved(opened.variants, {
    rounds: settings.rounds,
    windowMs: settings.windowMs,
    warmUpMs,
    random: createRandom(settings.seed),
    sample,
    ownPids: () => [process.pid, ...opened.otherPids(), ...opened.variants.flatMap(({ pids }) => pids())],
    onWindow: (round, variant, window) => log(toLine(round, variant, window))
  })
  const findings = (await opened.findings?.(windows)) ?? []
  return toResult(
    {
      findings,
      name: suite.name,
      environment,
      versions: opened.versions,
      settings: {
        ...opened.settings,
        rounds: settings.rounds,
        windowMs: settings.windowMs,
        warmUpMs,
        seed: settings.seed
      },
      comparisons: suite.comparisons,
      minRounds
    },
    windows
  )
}

function toLine(round: number, variant: string, window: Window): string {
  const cost = ((window.cpuMs * 1_000) / window.events).toFixed(1).padStart(7)
  const speed = ((window.events * 1_000) / window.elapsedMs).toFixed(0).padStart(6)
  const foreign = `${(window.foreignShare * 100).toFixed(0)} %`.padStart(5)
  const dropped = round === 0 ? '  (thrown away)' : ''
  return `round ${String(round).padStart(2)}  ${variant.padEnd(20)} ${cost} us/event ${speed} events/s  foreign ${foreign}${dropped}`
}
