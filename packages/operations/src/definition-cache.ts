// The definitions that workers count by, from memory. A version is announced at least five minutes before the full hour
// from which on it counts, and workers read again every half minute, so all of them begin with the same event. An outage
// of PostgreSQL does not stop counting: what is known goes on, a copy in the live state's own store serves processes that
// start meanwhile, and a version that has begun before it was read is told, since events were counted without it.
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { Queryable } from '@millrace/stores/postgres'
import type { DefinitionCopy } from './definition-copy.ts'
import { listDefinitions } from './metric-definitions.ts'
import type { ProjectDefinition } from './metric-definitions.ts'

export interface DefinitionCacheDeps {
  readonly postgres: Queryable
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
  readonly signal: AbortSignal
  readonly conversionTypes: readonly string[]
  /** What was known before this process: read at first, and written after each answer of PostgreSQL. */
  readonly copy?: DefinitionCopy
  /**
   * A version that counts since before it was read here: events of its windows were counted without it. Told again until
   * it resolves, so it may be told several times.
   */
  readonly onMissed?: (missed: ProjectDefinition) => Promise<void>
  /** Definitions are read again after this time; default 30 s. */
  readonly readEveryMs?: number
  /** Callers wait when definitions are older. Default: never, what is known is gone on with. */
  readonly waitAfterMs?: number
}

export interface DefinitionCache {
  /**
   * What a project counts: the metrics that all have and all versions of its own; the same list until one is added.
   * Throws PIPE_LIVE_STATE while the definitions are not known, or older than callers are to go on with.
   */
  of(project: string): readonly MetricDefinition[]
  /** The version of a metric that a window starting at `startMs` belongs to, as far as is known. Never throws. */
  at(project: string, name: string, startMs?: number): MetricDefinition | undefined
  /** How long ago PostgreSQL was asked for what is known, ms; Infinity when it has not answered yet. */
  ageMs(): number
}

/** What differs between the clocks of the database and of this process at most, as everywhere in the live state. */
const clockMarginMs = 5_000

/** Begins to read definitions in the background, until `signal` aborts. Nothing is known before the first answer. */
export function startDefinitionCache(deps: DefinitionCacheDeps): DefinitionCache {
  const { postgres, clock, log, signal, conversionTypes, copy, onMissed } = deps
  const { readEveryMs = 30_000, waitAfterMs = Number.POSITIVE_INFINITY } = deps
  const builtIn = builtInMetrics(conversionTypes)
  let own: ReadonlyMap<string, readonly MetricDefinition[]> = new Map()
  let known: ReadonlySet<string> | undefined
  let readAtMs = Number.NEGATIVE_INFINITY
  /** One line for an outage. */
  let isAway = false

  const take = async (rows: readonly ProjectDefinition[]): Promise<void> => {
    const before = own
    const missed = known === undefined ? [] : rows.filter((row) => isMissed(row, known, clock.now()))
    own = new Map(
      [...Map.groupBy(rows, ({ projectId }) => projectId)].map(([project, defined]) => [
        project,
        keep(before.get(project), defined.length) ?? [...builtIn, ...defined.map(({ definition }) => definition)]
      ])
    )
    for (const row of missed) await onMissed?.(row)
    // Only what was told is known: what fails is told with the next answer.
    known = new Set(rows.map(keyOf))
  }
  // Rows are never changed or removed, so as many are the same ones.
  const keep = (
    held: readonly MetricDefinition[] | undefined,
    count: number
  ): readonly MetricDefinition[] | undefined => (held?.length === builtIn.length + count ? held : undefined)

  const read = async (): Promise<void> => {
    const askedAtMs = clock.monotonic()
    const rows = await listDefinitions(postgres)
    readAtMs = askedAtMs
    isAway = false
    await take(rows)
    await copy?.write(rows).catch((error: unknown) => log.warn({ err: toError(error) }, 'definitions are not copied'))
  }
  /** Before the first answer, so that what was missed before a restart is noticed after it. */
  const readCopy = async (): Promise<void> => {
    const rows = await copy?.read().catch(() => undefined)
    if (rows !== undefined) await take(rows)
  }

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      if (known === undefined) await readCopy()
      await read().catch((error: unknown) => {
        if (!isAway)
          log.warn({ err: toError(error), known: known !== undefined }, 'definitions of metrics cannot be read')
        isAway = true
      })
      const isRead = readAtMs > Number.NEGATIVE_INFINITY
      await clock.sleep(isRead ? readEveryMs : Math.min(1_000, readEveryMs), signal).catch(() => undefined)
    }
  }
  void run()

  const ageMs = (): number => clock.monotonic() - readAtMs
  const definitionsOf = (project: string): readonly MetricDefinition[] => own.get(project) ?? builtIn
  return {
    of(project) {
      if (known === undefined || (ageMs() > waitAfterMs && waitAfterMs < Number.POSITIVE_INFINITY))
        throw new AppError('PIPE_LIVE_STATE', 'definitions of metrics are not known: PostgreSQL does not answer')
      return definitionsOf(project)
    },
    at: (project, name, startMs = Number.POSITIVE_INFINITY) =>
      definitionsOf(project).findLast((each) => each.name === name && each.effectiveFromMs <= startMs),
    ageMs
  }
}

function isMissed(row: ProjectDefinition, known: ReadonlySet<string> | undefined, nowMs: number): boolean {
  return known?.has(keyOf(row)) === false && row.definition.effectiveFromMs <= nowMs + clockMarginMs
}

function keyOf({ projectId, definition: { name, version } }: ProjectDefinition): string {
  return `${projectId}:${name}:${version}`
}
