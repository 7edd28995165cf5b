// Points where a test may hurt the process, and bugs a test may switch on. Inert unless MILLRACE_TEST=1. The grammar:
// `label:kill[:hit]`, `label:stop[:hit]`, `label:throw[:hit]`, `label:delay:ms[:hit]`, separated by commas.
import { writeSync } from 'node:fs'
import { AppError, systemClock } from '@millrace/kernel'

/** Named points on the way of an event. */
export interface Faults {
  /** Passes the point. Callers await it, so that a delay or a death there is before whatever comes next. */
  at(label: string): void | Promise<void>
}

/** What happens at a point: the process kills itself, freezes (SIGSTOP), throws, or waits. */
export type FaultAction = 'kill' | 'stop' | 'throw' | 'delay'

/** One fault: at passage `hit` of `label` (1 = the first), or at every passage when `hit` is undefined. */
export interface FaultRule {
  readonly label: string
  readonly action: FaultAction
  readonly delayMs: number
  readonly hit: number | undefined
}

/** How faults touch the process; tests replace it. */
export interface FaultEffects {
  signal(name: 'SIGKILL' | 'SIGSTOP'): void
  sleep(ms: number): Promise<void>
  /** Written before the fault, synchronously: the process may not live on. */
  note(line: string): void
}

const processEffects: FaultEffects = {
  signal: (name) => void process.kill(process.pid, name),
  sleep: (ms) => systemClock.sleep(ms),
  note: (line) => void writeSync(2, `${line}\n`)
}

/**
 * The rules of `value`, in order. Throws PIPE_CONFIG_INVALID naming every part that is not of the grammar. `kill`,
 * `stop` and `throw` without a number happen at the first passage, `delay` without a second number at every passage.
 */
export function parseFaults(value: string): FaultRule[] {
  const parts = value.split(',').filter((part) => part !== '')
  const rules = parts.map(parseRule)
  const wrong = parts.filter((_, index) => rules[index] === undefined)
  if (wrong.length > 0) {
    throw new AppError(
      'PIPE_CONFIG_INVALID',
      `MILLRACE_FAULTS: not a fault: ${wrong.join(', ')}; write label:kill[:hit], label:stop[:hit], ` +
        'label:throw[:hit] or label:delay:ms[:hit]'
    )
  }
  return rules.filter((rule) => rule !== undefined)
}

function parseRule(part: string): FaultRule | undefined {
  const match = /^([a-z0-9.-]+):(?:(kill|stop|throw)|(delay):(\d+))(?::([1-9]\d*))?$/.exec(part)
  if (match === null) return undefined
  const [, label = '', plain, , delay = '0', hit] = match
  const action = (plain ?? 'delay') as FaultAction
  const first = action === 'delay' ? undefined : 1
  return { label, action, delayMs: Number(delay), hit: hit === undefined ? first : Number(hit) }
}

/** The faults of `value` (MILLRACE_FAULTS). Throws PIPE_CONFIG_INVALID when faults are asked for outside a test. */
export function createFaults(value: string | undefined, testing: boolean, effects = processEffects): Faults {
  if (value === undefined || value === '') return { at: () => {} }
  if (!testing) throw new AppError('PIPE_CONFIG_INVALID', 'MILLRACE_FAULTS works only together with MILLRACE_TEST=1')
  const rules = parseFaults(value)
  const hits = new Map<string, number>()
  return {
    at(label) {
      const hit = (hits.get(label) ?? 0) + 1
      hits.set(label, hit)
      const due = rules.filter((rule) => rule.label === label && (rule.hit ?? hit) === hit)
      return due.length === 0 ? undefined : happen(due, hit, effects)
    }
  }
}

async function happen(due: readonly FaultRule[], hit: number, effects: FaultEffects): Promise<void> {
  for (const { label, action, delayMs } of due) {
    effects.note(`fault: ${action} at ${label}, passage ${hit}`)
    if (action === 'kill') effects.signal('SIGKILL')
    else if (action === 'stop') effects.signal('SIGSTOP')
    else if (action === 'throw') throw new Error(`fault at ${label}`)
    else await effects.sleep(delayMs)
  }
}

/** The planted bugs of `value` (MILLRACE_PLANTED_BUG, comma-separated). Throws PIPE_CONFIG_INVALID outside a test. */
export function plantedBugs(value: string | undefined, testing: boolean): ReadonlySet<string> {
  const names = (value ?? '').split(',').filter((name) => name !== '')
  if (names.length > 0 && !testing) {
    throw new AppError('PIPE_CONFIG_INVALID', 'MILLRACE_PLANTED_BUG works only together with MILLRACE_TEST=1')
  }
  return new Set(names)
}
