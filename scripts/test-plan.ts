// What `npm test` was asked to run, and how its numbers are read from vitest's reports. Pure.

/** The vitest projects in the order in which they run: cheap ones first, the first one without the stack. */
const usualParts = ['unit', 'integration', 'e2e'] as const
/** A part that runs only when it is asked for: it needs a browser on the machine. */
const parts = [...usualParts, 'browser'] as const
export type Part = (typeof parts)[number]

export interface Plan {
  readonly parts: readonly Part[]
  /** Handed to vitest as they are: file filters and flags. */
  readonly vitestArgs: readonly string[]
}

/** Reads the arguments of `npm test [unit|integration|e2e|browser] [-- vitest arguments]`; throws a RangeError on another word. */
export function parsePlan(args: readonly string[]): Plan {
  const [first, ...rest] = args[0] === '--' ? args.slice(1) : args
  if (first === undefined) return { parts: usualParts, vitestArgs: [] }
  if (first.startsWith('-')) return { parts: usualParts, vitestArgs: [first, ...rest] }
  const part = parts.find((name) => name === first)
  if (part === undefined) throw new RangeError(`unknown part '${first}'; one of ${parts.join(', ')}`)
  return { parts: [part], vitestArgs: rest[0] === '--' ? rest.slice(1) : rest }
}

/** Tests of one part or of all. */
export interface Totals {
  readonly passed: number
  readonly failed: number
}

interface FileReport {
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

/**
 * Counts a vitest JSON report; undefined when there is none, or none that can be read. A file that failed without a failed
 * test (it could not be loaded, a hook broke) counts as one failure, one whose process died before its tests had ended
 * counts beside those that failed, and so does a run that says it failed without a failure of its own: nothing red is
 * counted as zero.
 */
export function countReport(report: string | undefined, exitCode: number): Totals | undefined {
  const files = filesOf(report)
  if (files === undefined) return undefined
  let passed = 0
  let failed = 0
  for (const { status, assertionResults } of files) {
    const count = (wanted: string): number => assertionResults.filter((each) => each.status === wanted).length
    const failures = count('failed')
    const isBroken = status === 'failed' && (failures === 0 || count('pending') > 0)
    passed += count('passed')
    failed += failures + (isBroken ? 1 : 0)
  }
  return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed }
}

function filesOf(report: string | undefined): readonly FileReport[] | undefined {
  if (report === undefined) return undefined
  try {
    return (JSON.parse(report) as { readonly testResults?: readonly FileReport[] } | null)?.testResults
  } catch {
    // Cut off: vitest was ended while it wrote.
    return undefined
  }
}

/** The closing line. */
export function closingLine({ passed, failed }: Totals): string {
  return `${passed} passed, ${failed} failed`
}
