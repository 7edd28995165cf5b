// The definitions that workers count by, from memory. A definition is announced five minutes before it counts, so
// workers that read again every half minute and wait when they could not for two minutes all begin with the same event.
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { Queryable } from '@millrace/stores/postgres'
import { listDefinitions } from './metric-definitions.ts'

export interface DefinitionCacheDeps {
  readonly postgres: Queryable
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
  readonly signal: AbortSignal
  readonly conversionTypes: readonly string[]
  /** Definitions are read again after this time; default 30 s. */
  readonly readEveryMs?: number
  /** Older ones are not counted by; default 2 min. */
  readonly staleMs?: number
}

export interface DefinitionCache {
  /**
   * What a project counts: the metrics that all have and all versions of its own; the same list until one is added.
   * Throws PIPE_LIVE_STATE while the definitions are not known or too old.
   */
  of(project: string): readonly MetricDefinition[]
  /** The version of a metric that a window starting at `startMs` belongs to, as far as is known. Never throws. */
  at(project: string, name: string, startMs?: number): MetricDefinition | undefined
}

/** Begins to read definitions in the background, until `signal` aborts. Nothing is known before the first answer. */
export function startDefinitionCache(deps: DefinitionCacheDeps): DefinitionCache {
  const { postgres, clock, log, signal, conversionTypes, readEveryMs = 30_000, staleMs = 120_000 } = deps
  const builtIn = builtInMetrics(conversionTypes)
  let own: ReadonlyMap<string, readonly MetricDefinition[]> = new Map()
  let readAtMs = Number.NEGATIVE_INFINITY

  const read = async (): Promise<void> => {
    const askedAtMs = clock.monotonic()
    const rows = await listDefinitions(postgres)
    const byProject = Map.groupBy(rows, ({ projectId }) => projectId)
    const before = own
    own = new Map(
      [...byProject].map(([project, defined]) => [
        project,
        keep(before.get(project), defined.length) ?? [...builtIn, ...defined.map(({ definition }) => definition)]
      ])
    )
    readAtMs = askedAtMs
  }
  // Rows are never changed or removed, so as many are the same ones.
  const keep = (
    held: readonly MetricDefinition[] | undefined,
    count: number
  ): readonly MetricDefinition[] | undefined => (held?.length === builtIn.length + count ? held : undefined)

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await read().catch((error: unknown) => log.warn({ err: toError(error) }, 'definitions of metrics cannot be read'))
      const isKnown = readAtMs > Number.NEGATIVE_INFINITY
      await clock.sleep(isKnown ? readEveryMs : Math.min(1_000, readEveryMs), signal).catch(() => undefined)
    }
  }
  void run()

  const definitionsOf = (project: string): readonly MetricDefinition[] => own.get(project) ?? builtIn
  return {
    of(project) {
      if (clock.monotonic() - readAtMs > staleMs)
        throw new AppError('PIPE_LIVE_STATE', 'definitions of metrics are not known: PostgreSQL does not answer')
      return definitionsOf(project)
    },
    at: (project, name, startMs = Number.POSITIVE_INFINITY) =>
      definitionsOf(project).findLast((each) => each.name === name && each.effectiveFromMs <= startMs)
  }
}
