// Points where a test may hurt the process, and bugs a test may switch on. Inert unless MILLRACE_TEST=1.
import { AppError } from '@millrace/kernel'

/** Named points on the way of an event. */
export interface Faults {
  at(label: string): void | Promise<void>
}

/** The faults of `value` (MILLRACE_FAULTS). Throws PIPE_CONFIG_INVALID when faults are asked for outside a test. */
export function createFaults(value: string | undefined, testing: boolean): Faults {
  if (value !== undefined && value !== '' && !testing) {
    throw new AppError('PIPE_CONFIG_INVALID', 'MILLRACE_FAULTS works only together with MILLRACE_TEST=1')
  }
  return { at: () => {} }
}

/** The planted bugs of `value` (MILLRACE_PLANTED_BUG, comma-separated). Throws PIPE_CONFIG_INVALID outside a test. */
export function plantedBugs(value: string | undefined, testing: boolean): ReadonlySet<string> {
  const names = (value ?? '').split(',').filter((name) => name !== '')
  if (names.length > 0 && !testing) {
    throw new AppError('PIPE_CONFIG_INVALID', 'MILLRACE_PLANTED_BUG works only together with MILLRACE_TEST=1')
  }
  return new Set(names)
}
