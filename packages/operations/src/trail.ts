// Where one event is: its record in the log, how far each group is with it, and what each sink has of it. The record is not
// searched for in the log: the warehouse and raw_events know its place. Only what neither knows is looked for in the dead
// letters, in what the loaders have not come to, and around a time that the asker gives.
import { AppError, isTransient, toError } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import type { Sink } from './sinks.ts'
import { fileOf, recordedRow, shownRow } from './trail-rows.ts'
import type { HoldingFile, TrailPlace } from './trail-rows.ts'
import { lettersOf, searchEvent } from './trail-search.ts'
import type { SearchDeps, SearchRequest, TrailLetter } from './trail-search.ts'

export interface TrailDeps extends SearchDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly sinks: readonly Sink[]
  /** Group of the recorders; default `record`. */
  readonly recordGroup?: string
  /** Now, ms. */
  readonly nowMs: number
}

export interface TrailGroup {
  readonly group: string
  /** Offset after the last record that took effect; undefined: it is not known. */
  readonly position: bigint | undefined
  /** The group has come past the record. */
  readonly isPast: boolean | undefined
  /** Why it is not known. */
  readonly problem: string | undefined
}

export interface Trail {
  readonly projectId: string
  readonly eventId: string
  /** The first record of the event; undefined: nobody knows of it. */
  readonly place: TrailPlace | undefined
  /** Who knew it. */
  readonly foundBy: 'warehouse' | 'raw-events' | 'letters' | 'log' | undefined
  readonly eventType: string | undefined
  readonly timestamp: string | undefined
  readonly groups: readonly TrailGroup[]
  /** The row that is shown. */
  readonly warehouse: { readonly rows: number; readonly place: TrailPlace; readonly latenessMs: number } | undefined
  readonly recorded: TrailPlace | undefined
  /** The file that holds the record. */
  readonly archive: HoldingFile | undefined
  readonly letters: readonly TrailLetter[]
  /** Stores that did not answer: what they have is not known, and an event without a place may be there. */
  readonly problems: readonly string[]
}

/**
 * The trail of an event, also while a store is away. Throws PIPE_NOT_FOUND for a project without a log, PIPE_INVALID_INPUT
 * for an id that none can have, and PIPE_KAFKA_UNAVAILABLE when the log has to be searched.
 */
export async function trailOf(deps: TrailDeps, request: SearchRequest): Promise<Trail> {
  const { projectId, eventId } = request
  if (eventId === '' || eventId.length > 128)
    throw new AppError('PIPE_INVALID_INPUT', 'an event id has 1 to 128 characters')
  const problems: string[] = []
  const [shown, recorded] = await Promise.all([
    orProblem(problems, 'warehouse', shownRow(deps, request)),
    orProblem(problems, 'raw_events', recordedRow(deps, request))
  ])
  const known = shown?.place ?? recorded?.place
  const searched = known === undefined ? await searchEvent(deps, request) : undefined
  const place = known ?? searched?.place
  const teller = shown ?? recorded ?? searched
  const [groups, archive] = await Promise.all([
    groupsOf(deps, place),
    orProblem(problems, 'archive', fileOf(deps, place))
  ])
  const isLacking =
    problems.length === 0 && lacks(deps, groups, { load: shown !== undefined, record: recorded !== undefined })
  const letters = searched?.letters ?? (isLacking ? await lettersOf(deps, request, place) : [])
  return {
    projectId,
    eventId,
    place,
    foundBy: shown ? 'warehouse' : recorded ? 'raw-events' : searched?.foundBy,
    eventType: teller?.eventType,
    timestamp: teller?.timestamp,
    groups,
    warehouse: shown === undefined ? undefined : { rows: shown.rows, place: shown.place, latenessMs: shown.latenessMs },
    recorded: recorded?.place,
    archive,
    letters,
    problems
  }
}

async function orProblem<T>(problems: string[], what: string, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (!isTransient(error)) throw error
    problems.push(`${what}: ${toError(error).message}`)
    return undefined
  }
}

/** A sink came past the record and does not have it. Only then are letters read, which takes as long as all the rest. */
function lacks(
  { loadGroup = 'load', recordGroup = 'record' }: TrailDeps,
  groups: readonly TrailGroup[],
  has: { readonly load: boolean; readonly record: boolean }
): boolean {
  return groups.some(
    ({ group, isPast }) =>
      isPast !== false && ((group === loadGroup && !has.load) || (group === recordGroup && !has.record))
  )
}

async function groupsOf({ sinks }: TrailDeps, place: TrailPlace | undefined): Promise<readonly TrailGroup[]> {
  if (place === undefined) return []
  const { offset } = place
  return await Promise.all(
    sinks.map(async ({ group, positions }): Promise<TrailGroup> => {
      try {
        const position = (await positions([place])).get(partitionKey(place))
        return { group, position, isPast: position === undefined ? false : position > offset, problem: undefined }
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        return { group, position: undefined, isPast: undefined, problem: error.message }
      }
    })
  )
}
