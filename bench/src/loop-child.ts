// A process of its own that does a loop of work on demand, so that its CPU is the work's alone: the other half of
// references/*-loop.ts.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LoadResult, Variant } from './harness.ts'

/** What a loop is asked: to do `task` for `ms`. */
export interface LoopOrder<Task> {
  readonly task: Task
  readonly ms: number
}

export interface LoopChild<Task> extends AsyncDisposable {
  readonly pid: number
  /** Does `task` for about `ms`. Throws when the process ends. */
  run(task: Task, ms: number): Promise<LoadResult>
}

/** Starts the loop in `file` (relative to this folder) with `env` added; it is ready when it has said so. */
export async function startLoopChild<Task extends object>(
  file: string,
  env: Readonly<Record<string, string>>
): Promise<LoopChild<Task>> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], { env: { ...process.env, ...env } })
  const exited = once(child, 'exit').then(() => undefined)
  const next = async (): Promise<unknown> => {
    const message = await Promise.race([once(child, 'message'), exited])
    if (message === undefined) throw new Error(`${file} ended`)
    return message[0]
  }
  await next()
  return {
    pid: child.pid ?? 0,
    async run(task, ms) {
      const order: LoopOrder<Task> = { task, ms }
      child.send(order)
      // The loop answers with nothing else (serveLoop).
      return (await next()) as LoadResult
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    }
  }
}

/** A task of a loop as something to measure; `pids` when it is not the loop's own CPU that counts. */
export function loopVariant<Task extends object>(
  name: string,
  child: LoopChild<Task>,
  task: Task,
  pids: readonly number[] = [child.pid]
): Variant {
  return { name, pids: () => pids, drive: (ms) => child.run(task, ms) }
}

/** Serves orders in a loop's process: `work` does a task once and says how many events that were. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the task of an order, for who serves it
export function serveLoop<Task>(work: (task: Task) => Promise<number>): void {
  const run = async ({ task, ms }: LoopOrder<Task>): Promise<void> => {
    const until = performance.now() + ms
    const times: number[] = []
    let events = 0
    for (let now = performance.now(); now < until;) {
      events += await work(task)
      const after = performance.now()
      times.push(after - now)
      now = after
    }
    times.sort((left, right) => left - right)
    const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? Number.NaN
    const result: LoadResult = { events, failures: 0, latencyMs: { p50: at(0.5), p99: at(0.99) } }
    process.send?.(result)
  }
  process.on('message', (order: LoopOrder<Task>) => void run(order))
  process.send?.('ready')
}
