// One attempt at a batch: the worker is called under a deadline, and what it returns or throws becomes one of five
// results. A batch that is refused as a whole is searched for the refused items within the same attempt.
import { AppError, dead } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { Commit } from '@millrace/kafka'
import { bisect } from './bisect.ts'
import type { Bisected } from './bisect.ts'
import type { Batch, ConsumerDef, ConsumerSettings, Rewind } from './definition.ts'
import { subBatch } from './flush.ts'
import { classify } from './retry-policy.ts'
import type { Way } from './retry-policy.ts'

/** What an attempt yields. */
export type AttemptResult =
  /**
   * Outcomes of the first items; all of them unless the search was cut short. Those at `again` are what a store said of an
   * item that stood alone, and another try can turn them.
   */
  | { readonly kind: 'decided'; readonly outcomes: readonly Outcome[]; readonly again: readonly number[] }
  /** A sink that owns its position: behind the outcomes stands an item with this verdict, not passed yet. */
  | { readonly kind: 'found'; readonly outcomes: readonly Outcome[]; readonly verdict: Outcome }
  | { readonly kind: 'rewind'; readonly to: readonly Commit[] }
  | { readonly kind: 'transient'; readonly error: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }

export interface AttemptInput<Item> {
  readonly def: ConsumerDef<Item>
  readonly settings: ConsumerSettings
  readonly clock: Clock
  readonly batch: Batch<Item>
  /** Position after each item. */
  readonly nexts: readonly bigint[]
  readonly attempt: number
  readonly controller: AbortController
  /** Told when a call begins or reports progress, and with its seconds when it ends. */
  readonly onCall: (seconds: number | undefined) => void
}

/** Runs one attempt. Never throws. */
export async function attemptBatch<Item>(input: AttemptInput<Item>): Promise<AttemptResult> {
  return await callOnce(input, (error, way) => search(input, error, way))
}

/** One call with the whole batch; `onCulprit` decides when an item of it is to blame. */
async function callOnce<Item>(
  input: AttemptInput<Item>,
  onCulprit: (error: unknown, way: Culprit) => AttemptResult | Promise<AttemptResult>
): Promise<AttemptResult> {
  try {
    const answer = await callHandle(input, input.batch)
    if (!isRewind(answer)) return checkDead(input, { kind: 'decided', outcomes: answer, again: [] })
    return { kind: 'rewind', to: answer.to }
  } catch (error) {
    const way = classify(error, input.settings, input.controller.signal)
    return way.kind === 'culprit' ? await onCulprit(error, way) : way
  }
}

type Culprit = Extract<Way, { kind: 'culprit' }>

async function search<Item>(input: AttemptInput<Item>, error: unknown, way: Culprit): Promise<AttemptResult> {
  const { batch, nexts, settings, controller, def } = input
  const count = batch.items.length
  const owns = def.startAt !== undefined
  if (count === 0) return { kind: 'failed', error }
  if (count === 1) {
    // A bug that one item brought out, with nothing beside it that could be to blame: it is tried once more.
    const isBug = way.reason === 'bug'
    return isBug ? await callOnce(input, (second, again) => alone(second, again, owns)) : alone(error, way, owns)
  }
  const result = await bisect({
    count,
    maxCalls: Math.max(settings.maxBisectCalls, Math.ceil(Math.log2(count)) * 2 + 2),
    stopAtDead: owns,
    run: async (low, high) => {
      controller.signal.throwIfAborted()
      const answer = await callHandle(input, subBatch(batch, nexts, low, high))
      if (isRewind(answer)) throw new RewindFound(answer)
      return answer
    },
    verdict: (error) => {
      const found = classify(error, settings, controller.signal)
      return found.kind === 'culprit' ? found : undefined
    }
  })
  return checkDead(input, toResult(result, settings, controller.signal))
}

/** The verdict on the only item of a batch. */
function alone(error: unknown, { reason, again }: Culprit, owns: boolean): AttemptResult {
  const verdict = dead(reason, error)
  if (owns) return { kind: 'found', outcomes: [], verdict }
  return { kind: 'decided', outcomes: [verdict], again: again ? [0] : [] }
}

function toResult(result: Bisected, settings: ConsumerSettings, signal: AbortSignal): AttemptResult {
  const { outcomes, again, found, error, anyDone } = result
  // A bug that no item survives is a wrong deployment, not bad data: nothing is set aside.
  const bug = [...outcomes, found].find((outcome) => outcome?.kind === 'dead' && outcome.reason === 'bug')
  if (bug?.kind === 'dead' && !anyDone) return { kind: 'failed', error: bug.cause }
  if (found !== undefined) return { kind: 'found', outcomes, verdict: found }
  if (error === undefined || outcomes.length > 0) return { kind: 'decided', outcomes, again }
  if (error instanceof RewindFound) return { kind: 'rewind', to: error.rewind.to }
  const ended = classify(error, settings, signal)
  return ended.kind === 'culprit' ? { kind: 'failed', error } : ended
}

/** A sink that owns its position has passed the item by the time it answers, so its letter could be lost. */
function checkDead<Item>({ def }: AttemptInput<Item>, result: AttemptResult): AttemptResult {
  if (def.startAt === undefined || (result.kind !== 'decided' && result.kind !== 'found')) return result
  if (!result.outcomes.some(({ kind }) => kind === 'dead')) return result
  return { kind: 'failed', error: new Error(`${def.name}: with startAt only decode may decide that a record is dead`) }
}

async function callHandle<Item>(
  { def, settings, clock, attempt, controller, onCall }: AttemptInput<Item>,
  batch: Batch<Item>
): Promise<readonly Outcome[] | Rewind> {
  const { maxHandleMs } = settings
  const expire = (): void =>
    controller.abort(new AppError('PIPE_DEADLINE', `${def.name}: a batch took longer than ${maxHandleMs} ms`))
  let timer = clock.timer(maxHandleMs, expire)
  const progress = (): void => {
    timer[Symbol.dispose]()
    timer = clock.timer(maxHandleMs, expire)
    onCall(undefined)
  }
  const startedAtMs = clock.monotonic()
  onCall(undefined)
  try {
    const answer = await def.handle(batch, { signal: controller.signal, attempt, progress })
    if (!isRewind(answer) && answer.length !== batch.items.length)
      throw new Error(`${def.name}: ${answer.length} outcomes for ${batch.items.length} items`)
    return answer
  } finally {
    timer[Symbol.dispose]()
    onCall((clock.monotonic() - startedAtMs) / 1_000)
  }
}

function isRewind(answer: readonly Outcome[] | Rewind): answer is Rewind {
  return 'kind' in answer
}

class RewindFound extends Error {
  readonly rewind: Rewind
  constructor(rewind: Rewind) {
    super('rewind')
    this.rewind = rewind
  }
}
