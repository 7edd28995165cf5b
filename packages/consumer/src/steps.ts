// The effects of a batch: dead letters, the worker's handle, the commit. Each resolves with a result for the loop and
// changes no lane.
import { isTransient, toError } from '@millrace/kernel'
import type { GroupMember } from '@millrace/kafka'
import { attemptBatch } from './attempt.ts'
import type { AttemptResult } from './attempt.ts'
import { toLetter } from './dead-letter.ts'
import type { ConsumerDef, ConsumerDeps, ConsumerSettings } from './definition.ts'
import { itemEntries, toBatch, toCommits } from './flush.ts'
import type { Flush } from './flush.ts'
import { sendLetters } from './send-letters.ts'
import type { LetterFate } from './send-letters.ts'

/** What a step yields. */
export type StepResult =
  | { readonly step: 'letters'; readonly fates: readonly LetterFate[] }
  | { readonly step: 'handle'; readonly result: AttemptResult }
  | { readonly step: 'commit'; readonly result: 'committed' | 'fenced' }
  | { readonly step: 'commit'; readonly result: 'transient'; readonly error: unknown }
  /** The lanes were lost before the effect began. */
  | { readonly step: 'none' }
  | { readonly step: 'failed'; readonly error: unknown }

export interface StepContext<Item> {
  readonly def: ConsumerDef<Item>
  readonly deps: ConsumerDeps
  readonly settings: ConsumerSettings
  readonly member: () => GroupMember | undefined
  readonly onCall: (flush: Flush<Item>, seconds: number | undefined) => void
}

/** Runs the present step of `flush`. Never throws. */
export async function runStep<Item>(context: StepContext<Item>, flush: Flush<Item>): Promise<StepResult> {
  try {
    switch (flush.step) {
      case 'letters':
        return await runLetters(context, flush)
      case 'handle':
        return await runHandle(context, flush)
      case 'commit':
        return await runCommit(context, flush)
    }
  } catch (error) {
    return { step: 'failed', error }
  }
}

async function runLetters<Item>({ def, deps }: StepContext<Item>, flush: Flush<Item>): Promise<StepResult> {
  const { appVersion } = deps.letters
  const letters = flush.undelivered.map(({ entry, outcome, stage, failedAtMs }) => {
    const { reason, cause } = outcome
    const attempts = stage === 'decode' ? 1 : flush.attempt
    const failure = { group: def.lettersOf ?? def.group, stage, reason, cause, attempts, failedAtMs, appVersion }
    const redriven = entry.record.topic === def.topics.redrive
    const letter = toLetter(entry.record, failure, redriven)
    return { topic: letter.origin.topic, letter }
  })
  const fates = await sendLetters(deps.letters, letters)
  await deps.faults?.at('consumer.after-dlq')
  return { step: 'letters', fates }
}

async function runHandle<Item>(context: StepContext<Item>, flush: Flush<Item>): Promise<StepResult> {
  const { def, deps, settings } = context
  const controller = new AbortController()
  flush.abort = (reason) => controller.abort(reason)
  await deps.faults?.at('consumer.before-handle')
  if (flush.stale) return { step: 'none' }
  if (deps.planted?.has('consumer.commit-before-effect') ?? false) await context.member()?.commit(toCommits(flush))
  const result = await attemptBatch({
    def,
    settings,
    clock: deps.clock,
    batch: toBatch(flush),
    nexts: itemEntries(flush).map(({ next }) => next),
    attempt: flush.attempt,
    controller,
    onCall: (seconds) => context.onCall(flush, seconds)
  })
  await deps.faults?.at('consumer.after-handle')
  return { step: 'handle', result }
}

async function runCommit<Item>({ deps, member }: StepContext<Item>, flush: Flush<Item>): Promise<StepResult> {
  await deps.faults?.at('consumer.before-commit')
  if (flush.stale && !(deps.planted?.has('consumer.ignore-epoch') ?? false)) return { step: 'none' }
  const commits = deps.planted?.has('consumer.commit-past-gap')
    ? flush.parts.map(({ lane, to }) => ({ ...lane.partition, offset: lane.fetched ?? to }))
    : toCommits(flush)
  try {
    const result = await member()?.commit(commits)
    await deps.faults?.at('consumer.after-commit')
    return { step: 'commit', result: result ?? 'fenced' }
  } catch (error) {
    if (isTransient(error)) return { step: 'commit', result: 'transient', error: toError(error) }
    return { step: 'failed', error }
  }
}
