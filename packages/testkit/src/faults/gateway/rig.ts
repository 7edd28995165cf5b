// What the gateway's cases share: the gateway alone on the stack, a load on a project of its own, and the judgement by
// ledger and log. A case adds the fault.
import type { RunningService } from '@millrace/local-stack/supervisor'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline, PipelineOptions } from '../../pipeline.ts'
import { gatherLog } from '../check-project.ts'
import type { CaseContext } from '../fault-case.ts'
import type { LedgerEntry } from '../ledger.ts'
import { judge } from '../oracle.ts'
import type { Allowance, Verdict, Violation } from '../oracle.ts'
import { startProjectLoad } from '../project-load.ts'
import type { LoadShape, ProjectLoad } from '../project-load.ts'
import { watchMemory } from './peak-memory.ts'

export interface RigOptions {
  readonly env?: PipelineOptions['env']
  readonly startEnv?: PipelineOptions['startEnv']
  readonly load?: LoadShape
}

export interface Rig extends AsyncDisposable {
  readonly pipeline: Pipeline
  readonly gateway: RunningService
  readonly traffic: ProjectLoad
  /** Says that the fault ends now: the time to the next acknowledgement is the recovery. */
  over(): void
  /** Ends the load, reads ledger and log, and judges; `further` adds what else the case asks of the ledger. */
  judge(options?: JudgeOptions): Promise<Verdict>
}

export interface JudgeOptions {
  readonly allowance?: Partial<Allowance>
  readonly further?: (ledger: readonly LedgerEntry[]) => readonly Violation[]
}

/** The shortest lease there is: what a dead gateway holds is free again soon. */
const leaseMs = 15_000

/** Three of ten sendings are batches of 20 events: singles and batches meet the same fault. */
const shape: LoadShape = {
  batches: { share: 0.3, events: 20 },
  pace: { kind: 'open', eventsPerSecond: 60, maxInFlight: 200 }
}

/** Starts gateway and load. */
export async function openRig(context: CaseContext, options: RigOptions = {}): Promise<Rig> {
  await using opening = new AsyncDisposableStack()
  const pipeline = opening.use(
    await openPipeline({
      endpoints: context.stack.endpoints,
      folder: context.folder,
      only: ['gateway'],
      planted: context.planted,
      env: { DEDUP_LEASE_MS: String(leaseMs), ...options.env },
      ...(options.startEnv === undefined ? {} : { startEnv: options.startEnv }),
      say: context.say
    })
  )
  const gateway = pipeline.services.service('gateway')
  const memory = opening.use(watchMemory(() => gateway.pid))
  const traffic = opening.use(await startProjectLoad(pipeline, context, { ...shape, ...options.load }))
  const ends: bigint[] = []
  const opened = opening.move()
  return {
    pipeline,
    gateway,
    traffic,
    over: () => void ends.push(process.hrtime.bigint()),
    async judge({ allowance, further } = {}) {
      context.say('the load ends; waiting for the last answers')
      await traffic.load.stop()
      const evidence = await gatherLog(pipeline, traffic.project.projectId, traffic.ledgerFile)
      const verdict = judge(evidence, { produceRetries: 0, lostMarks: false, ...allowance })
      return {
        ...verdict,
        violations: [...verdict.violations, ...(further?.(evidence.ledger) ?? [])],
        measures: { peakRssBytes: memory.peakBytes(), recoveryMs: recoveryOf(evidence.ledger, ends) }
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** The longest time from an end of a fault to the next acknowledgement, in milliseconds. */
export function recoveryOf(ledger: readonly LedgerEntry[], ends: readonly bigint[]): number | undefined {
  const acknowledged = ledger
    .filter(({ status }) => status === 202)
    .map(({ sentNs, tookMs }) => BigInt(sentNs) + BigInt(tookMs) * 1_000_000n)
    .toSorted((a, b) => (a < b ? -1 : 1))
  const times = ends
    .flatMap((end) => acknowledged.find((at) => at >= end) ?? [])
    .map((at, index) => at - (ends[index] ?? at))
  return times.length === 0 ? undefined : Math.max(...times.map((ns) => Number(ns / 1_000_000n)))
}

/** A violation about ledger entries, or none when there are none. */
export function complain(
  invariant: Violation['invariant'],
  problem: string,
  entries: readonly LedgerEntry[]
): readonly Violation[] {
  if (entries.length === 0) return []
  const examples = entries
    .slice(0, 10)
    .map(({ eventId, end, status, code, tookMs }) => `${eventId} (${end} ${status} ${code} after ${tookMs} ms)`)
  return [{ invariant, problem, count: entries.length, examples }]
}
