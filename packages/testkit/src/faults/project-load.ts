// The load of a case: a project, a ledger, and a careful client at a fixed rate with repeats and bad events.
import { join } from 'node:path'
import { systemClock } from '@millrace/kernel'
import { eventually } from '../eventually.ts'
import { createEventFactory } from '../event-factory.ts'
import type { Pipeline, TestProject } from '../pipeline.ts'
import type { CaseContext } from './fault-case.ts'
import { createHttpSender } from './http-sender.ts'
import { openLedger } from './ledger.ts'
import { startLoad } from './load-client.ts'
import type { Load, LoadOptions } from './load-client.ts'

export interface ProjectLoad extends AsyncDisposable {
  readonly project: TestProject
  readonly ledgerFile: string
  readonly load: Load
  /** Resolves when `more` further events were accepted from now on: the pipeline takes load again. */
  moves(more: number): Promise<void>
}

/** What differs between the loads of cases. */
export type LoadShape = Partial<
  Pick<LoadOptions, 'pace' | 'batches' | 'repeatShare' | 'badShare' | 'maxRetryAfterMs' | 'giveUpAfterMs'>
> & {
  /** Longest wait for an answer; default 15 s. */
  readonly timeoutMs?: number
}

/**
 * Makes a project and starts a load on it that lasts until it is stopped; by default 200 events/s, 10 % repeated, 2 % bad
 * besides.
 */
export async function startProjectLoad(
  pipeline: Pipeline,
  context: CaseContext,
  { timeoutMs = 15_000, ...shape }: LoadShape = {}
): Promise<ProjectLoad> {
  await using opening = new AsyncDisposableStack()
  const project = await pipeline.createProject('faults')
  const ledgerFile = join(context.folder, 'ledger.jsonl')
  const ledger = opening.use(await openLedger(ledgerFile))
  const sender = opening.use(
    createHttpSender({ url: pipeline.eventsUrl, writeKey: project.writeKey, timeoutMs, maxConnections: 200 })
  )
  const load = startLoad({
    sender,
    ledger,
    factory: createEventFactory(context.seed, { run: project.projectId }),
    clock: systemClock,
    seed: context.seed,
    pace: { kind: 'open', eventsPerSecond: 200, maxInFlight: 200 },
    repeatShare: 0.1,
    badShare: 0.02,
    ...shape
  })
  context.signal.addEventListener('abort', () => void load.stop().catch(() => {}))
  opening.defer(() => load.stop())
  const opened = opening.move()
  return {
    project,
    ledgerFile,
    load,
    async moves(more) {
      const goal = load.counts().accepted + more
      const failed = load.done.then(() => {
        throw new Error('the load ended before it was stopped')
      })
      const reached = eventually(
        `${more} more events accepted`,
        () => context.signal.throwIfAborted() ?? load.counts().accepted >= goal,
        { timeoutMs: 120_000 }
      )
      await Promise.race([reached, failed])
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
