// What runs beside the records: watching Redis, moving clocks, closing, deleting and emitting. Each owner does its own
// partitions; the owner of partition 0 does what concerns the project as a whole. All of it is safe whoever does it.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { errorFields } from '@millrace/service'
import { eachBounded } from './each-bounded.ts'
import type { LiveProject, LiveProjects } from './live-projects.ts'
import { repeat } from './repeat.ts'

export interface Tasks {
  readonly watch: (live: LiveProject) => Promise<void>
  readonly clocks: (live: LiveProject) => Promise<void>
  readonly emit: (live: LiveProject) => Promise<void>
  readonly days: (live: LiveProject) => Promise<void>
  /** Of all projects together. */
  readonly gauges: () => Promise<void>
  /** Done once, before anything is emitted, so that readers find the topics that every project writes to. */
  readonly prepare: () => Promise<void>
}

export interface TaskDeps {
  readonly projects: LiveProjects
  readonly tasks: Tasks
  readonly everyMs: Readonly<Record<Exclude<keyof Tasks, 'prepare'>, number>>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly log: Logger
}

/** Projects that a task looks after at once. */
const projectsAtOnce = 4

/** Runs the tasks until `signal` aborts. Rejects when one of them has a bug. */
export async function runTasks({ projects, tasks, everyMs, clock, signal, log }: TaskDeps): Promise<void> {
  const failing = new Set<string>()
  /** A dependency that is down is waited for, with one line for an outage and not one each time. */
  const guarded = async (name: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work()
      failing.delete(name)
      return true
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (!failing.has(name)) log.warn({ ...errorFields(error), task: name }, 'a task waits')
      failing.add(name)
      return false
    }
  }
  const run = (
    name: Exclude<keyof Tasks, 'gauges' | 'prepare'>,
    pick: (live: LiveProject) => boolean
  ): Promise<void> => {
    const one = (live: LiveProject): Promise<boolean> => guarded(`${name} ${live.project}`, () => tasks[name](live))
    const task = async (): Promise<void> => {
      await eachBounded(projects.all().filter(pick), projectsAtOnce, one)
    }
    return repeat({ everyMs: everyMs[name], clock, signal, task })
  }
  const prepare = async (): Promise<void> => {
    while (!signal.aborted && !(await guarded('prepare', tasks.prepare))) {
      await clock.sleep(everyMs.clocks, signal).catch(() => undefined)
    }
  }
  const isLead = (live: LiveProject): boolean => live.owned.has(0)
  await Promise.all([
    run('watch', () => true),
    run('clocks', () => true),
    run('emit', (live) => isLead(live) && live.halted === undefined),
    run('days', isLead),
    repeat({ everyMs: everyMs.gauges, clock, signal, task: async () => void (await guarded('gauges', tasks.gauges)) }),
    prepare()
  ])
}
