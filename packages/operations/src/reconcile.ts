// Whether everything that was accepted is where it belongs: every event of a part of the log is shown by the warehouse once,
// or has a dead letter, or waits; nothing is shown that the log does not have; and closed live windows count what is there.
//
// Memory: keys go to disk in classes of some ten thousand and are compared class by class, about 900 bytes an event while it
// is being compared. What is held besides are the dead letters of the range and the places of what is no event.
import { tmpdir } from 'node:os'
import { createEnrich, rawTopic } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import type { ArchiveFile, ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { ObjectStore } from '@millrace/stores/object-store'
import { readArchivedRecords } from './archive-records.ts'
import type { LetterPlace } from './letter-states.ts'
import { countOf, max } from './offsets.ts'
import { readLog } from './read-log.ts'
import type { ReadLogDeps } from './read-log.ts'
import { compareClass, createTally, note, settle, toLogLine, toShownLine } from './reconcile-compare.ts'
import type { Found, Tally } from './reconcile-compare.ts'
import { readRangeLetters } from './reconcile-letters.ts'
import type { ComparedGroups, RangeLetters } from './reconcile-letters.ts'
import { rangeOf, without } from './reconcile-range.ts'
import type { Range } from './reconcile-range.ts'
import { openSpool } from './reconcile-spool.ts'
import type { Spool } from './reconcile-spool.ts'
import { eventKey, findKeys, readShown } from './reconcile-warehouse.ts'
import { compareWindows } from './reconcile-windows.ts'
import type { WindowsCompared, WindowsDeps } from './reconcile-windows.ts'
import type { ReplayPart } from './replay-rows.ts'

export interface ReconcileDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  readonly log: ReadLogDeps
  readonly clickhouse: Pick<Clickhouse, 'queryStream' | 'rows'>
  /** Undefined: live windows are not compared. */
  readonly windows: WindowsDeps | undefined
  /** Undefined: only what the log has is compared. */
  readonly archive?: ArchiveReading | undefined
  /** The warehouse keeps events from this time on, ms; default: all. */
  readonly keptFrom?: (projectId: string) => Promise<number>
  /** Undefined: all that is asked for, in the temporary folder. */
  readonly limits?: ReconcileLimits
  readonly onProgress?: (done: bigint, of: bigint) => void
}

/** Where what retention took is read from. */
export interface ArchiveReading {
  readonly manifest: Pick<ArchiveManifest, 'heads' | 'files' | 'holes'>
  readonly objects: Pick<ObjectStore, 'get'>
}

/** What a comparison may take of its machine. */
export interface ReconcileLimits {
  /** Folder for the keys. */
  readonly folder: string
  /** Of the keys; of a range that would need more, the newest part is compared. */
  readonly maxBytes: number
  /** Dead letters of the range, and records that are no events, at most. */
  readonly maxHeld: number
}

export interface ReconcileRequest {
  readonly projectId: string
  /** Broker time, which may lie before the log; default: all that the log has, up to where the loaders are. */
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  /** Consumer groups of the loaders, processors and aggregators; default `load`, `process`, `aggregate`. */
  readonly loadGroup?: string
  readonly processGroup?: string
  readonly aggregateGroup?: string
  readonly table?: 'events' | 'events_raw'
}

export interface Reconciliation {
  readonly projectId: string
  readonly topic: string
  /** What was compared. */
  readonly parts: readonly ReplayPart[]
  readonly records: number
  /** Records among them that only the archive has. */
  readonly archived: number
  /** Offsets among the parts that neither the log nor the archive has: nothing is known of them. */
  readonly gone: bigint
  /** The oldest records of the range, left out because of a limit or since retention took them meanwhile. */
  readonly cut: bigint
  /** Different events among them, and further copies of those. */
  readonly events: number
  readonly copies: number
  /** Events that are shown; those whose first copy lies before the range included. */
  readonly landed: number
  /** Records with a dead letter that is not closed: no events, or refused by the warehouse. */
  readonly dead: number
  /** Records that are no events and have no letter, or had one that retention took. */
  readonly forgotten: number
  /** Events without a row that are older than what the warehouse keeps. */
  readonly past: number
  /** Records of the range that the loaders, or what is no event the processors, have not come to yet: not compared. */
  readonly pending: bigint
  /** Groups of loaders or processors without a position in a log that has records: nothing is known of what they did. */
  readonly unplaced: readonly string[]
  /** Events without a row, and without a letter that is not closed. */
  readonly missing: Found
  /** Rows whose record is not in the log, or is another event. */
  readonly extra: Found
  /** Events that are shown more than once; not looked for in the table behind the view. */
  readonly repeated: Found
  /** Records that are no events and have no letter. */
  readonly unlettered: Found
  readonly windows: WindowsCompared | undefined
  readonly isGreen: boolean
}

const perClass = 50_000
/** Two files each. */
const maxClasses = 400
/** Keys of both sides; 193 were measured with ids of 36 characters. */
const bytesPerRecord = 400

/**
 * Compares a part of the log of a project. Throws PIPE_NOT_FOUND for a project without a log or a file of the archive that
 * is not there, PIPE_KAFKA_UNAVAILABLE, PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_OBJECTS_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE,
 * PIPE_SPOOL_UNAVAILABLE and PIPE_DEADLINE, and PIPE_INVALID_INPUT over a limit that cutting the range did not keep and for
 * a broken file of the archive.
 */
export async function reconcile(deps: ReconcileDeps, request: ReconcileRequest): Promise<Reconciliation> {
  const { admin, clickhouse } = deps
  const { projectId, fromMs, toMs, table = 'events' } = request
  const topic = rawTopic(projectId)
  if (!(await admin.listTopics()).includes(topic))
    throw new AppError('PIPE_NOT_FOUND', `there is no topic ${topic}: is '${projectId}' a project?`)
  const { folder, maxBytes, maxHeld } = deps.limits ?? { folder: tmpdir(), maxBytes: Infinity, maxHeld: Infinity }
  const groups = groupsOf(request)
  const wanted = { topic, loadGroup: groups.load, fromMs, toMs, most: maxBytes / bytesPerRecord }
  const range = await rangeOf({ admin, manifest: deps.archive?.manifest }, wanted)
  const classes = Math.min(maxClasses, Math.max(1, Math.ceil(Number(countOf(range.parts)) / perClass)))
  await using spool = await openSpool({ folder, classes, maxBytes })
  // Before the log: what the processors have passed by then has its letter.
  const processed = await admin.groupOffsets(groups.process, topic)
  const read = await spoolRecords(deps, { topic, range, maxHeld }, spool)
  const sinceMs = Math.min(Infinity, ...read.firstMs.values())
  const letters = await readRangeLetters(deps, { projectId, sinceMs, maxHeld, groups })
  const parts = without(range.parts, [...range.gone, ...read.expired])
  await readShown(clickhouse, { projectId, topic, parts, table }, ({ key, partition, offset }) =>
    spool.add('there', key, toShownLine(key, partition, offset))
  )
  const tally = createTally()
  const unprocessed = judgeInvalid(tally, { read, letters, processed, log: range.log })
  const keptFromMs = (await deps.keptFrom?.(projectId)) ?? -Infinity
  await compareClasses(tally, { spool, letters, clickhouse, projectId, isView: table === 'events', keptFromMs })
  const windows =
    deps.windows &&
    (await compareWindows(deps.windows, admin, { ...range, projectId, topic, firstMs: read.firstMs }, tally.hours))
  const { hours: _hours, ...found } = tally
  const gone = countOf(range.gone)
  const unplaced = unplacedOf(range, groups, processed)
  const wrong = [found.missing, found.extra, found.repeated, found.unlettered].reduce(
    (sum, { count }) => sum + count,
    0
  )
  return {
    projectId,
    topic,
    parts: range.parts,
    records: read.records,
    archived: read.archived,
    gone,
    cut: range.cut + countOf(read.expired),
    ...found,
    pending: range.pending + unprocessed,
    unplaced,
    windows,
    isGreen: wrong + (windows?.wrong.length ?? 0) === 0 && gone === 0n && unplaced.length === 0
  }
}

function groupsOf({ loadGroup, processGroup, aggregateGroup }: ReconcileRequest): ComparedGroups {
  return { load: loadGroup ?? 'load', process: processGroup ?? 'process', aggregate: aggregateGroup ?? 'aggregate' }
}

/** A name that is mistyped would be a comparison of nothing. The aggregators keep their positions in Redis. */
function unplacedOf(
  { log, isPlaced }: Range,
  { load, process }: ComparedGroups,
  processed: ReadonlyMap<number, bigint>
): readonly string[] {
  if ([...log.values()].every(({ start, end }) => start === end)) return []
  return [...(isPlaced ? [] : [load]), ...(processed.size > 0 ? [] : [process])]
}

/** A record that is no event. */
interface Invalid extends LetterPlace {
  readonly appendedAtMs: number
}

interface ReadRecords {
  readonly records: number
  readonly archived: number
  readonly invalid: readonly Invalid[]
  /** Append time of the oldest record, by partition. */
  readonly firstMs: ReadonlyMap<number, number>
  /** What retention took while it was to be read. */
  readonly expired: readonly ReplayPart[]
}

interface RecordsWanted {
  readonly topic: string
  readonly range: Range
  readonly maxHeld: number
}

/** Reads the range, from the archive what the log does not have any more, and spools its events. */
async function spoolRecords(
  { log, archive, windows, onProgress }: ReconcileDeps,
  { topic, range: { parts, files, log: ranges }, maxHeld }: RecordsWanted,
  spool: Spool
): Promise<ReadRecords> {
  const enrich = createEnrich()
  const latenessMs = windows?.latenessMs ?? 0
  const total = countOf(parts)
  const invalid: Invalid[] = []
  const firstMs = new Map<number, number>()
  const expired: ReplayPart[] = []
  let records = 0
  const take = (record: RawRecord): void => {
    const { partition, offset, appendedAtMs } = record
    records++
    if (!firstMs.has(partition)) firstMs.set(partition, appendedAtMs)
    const enriched = enrich(record)
    if (!enriched.ok) return void invalid.push({ partition, offset, appendedAtMs })
    const { eventType, eventId, timestamp: timestampMs, latenessMs: late } = enriched.row
    const key = eventKey(eventType, timestampMs, eventId)
    spool.add('log', key, toLogLine({ key, partition, offset, isOnTime: late <= latenessMs, timestampMs, eventId }))
  }
  const takeAll = (found: readonly RawRecord[]): void => {
    for (const record of found) take(record)
    if (invalid.length > maxHeld)
      throw new AppError(
        'PIPE_INVALID_INPUT',
        `there are more than ${maxHeld} records that are no events in the range; compare a shorter time`
      )
    onProgress?.(BigInt(records), total)
  }
  const starts = new Map(
    parts.map(({ partition, from }) => [partition, max(from, ranges.get(partition)?.start ?? from)])
  )
  for (const file of files) {
    const { from = 0n, to = 0n } = parts.find(({ partition }) => partition === file.partition) ?? {}
    const start = starts.get(file.partition) ?? 0n
    for await (const group of readFile(archive, file))
      takeAll(group.filter(({ offset }) => offset >= from && offset < to && offset < start))
  }
  const archived = records
  await readLog(
    { ...log, onGone: ({ partition, from, to }) => void expired.push({ partition, from, to }) },
    parts.map(({ partition, from, to }) => ({ topic, partition, from: starts.get(partition) ?? from, to })),
    takeAll
  )
  return { records, archived, invalid, firstMs, expired }
}

async function* readFile(archive: ReconcileDeps['archive'], file: ArchiveFile): AsyncIterable<readonly RawRecord[]> {
  if (archive === undefined) return
  try {
    yield* readArchivedRecords(archive.objects, file)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PIPE_INVALID_INPUT') throw error
    throw new AppError('PIPE_INVALID_INPUT', `${file.key}: ${error.message}`, { cause: error })
  }
}

interface InvalidRecords {
  readonly read: ReadRecords
  readonly letters: RangeLetters
  /** Where the processors were before the log was read. */
  readonly processed: ReadonlyMap<number, bigint>
  readonly log: Range['log']
}

/** Each has a letter, or may have had one, or the processors have not come to it; resolves with how many those are. */
function judgeInvalid(tally: Tally, { read, letters, processed, log }: InvalidRecords): bigint {
  let unprocessed = 0n
  for (const { partition, offset, appendedAtMs } of read.invalid) {
    const isOld = offset < (log.get(partition)?.start ?? 0n)
    if (letters.isLettered({ partition, offset })) tally.dead++
    else if (isOld && letters.isForgotten(appendedAtMs)) tally.forgotten++
    else if (offset < (processed.get(partition) ?? 0n))
      note(tally.unlettered, { partition, offset, eventId: undefined })
    else unprocessed += 1n
  }
  return unprocessed
}

interface ClassesWork {
  readonly spool: Spool
  readonly letters: RangeLetters
  readonly clickhouse: ReconcileDeps['clickhouse']
  readonly projectId: string
  readonly isView: boolean
  readonly keptFromMs: number
}

async function compareClasses(
  tally: Tally,
  { spool, letters, clickhouse, projectId, isView, keptFromMs }: ClassesWork
): Promise<void> {
  for (let index = 0; index < spool.classes; index++) {
    const lines = { logged: spool.read('log', index), shown: spool.read('there', index), isView }
    const absent = compareClass(tally, lines, letters)
    settle(tally, absent, { elsewhere: await findKeys(clickhouse, projectId, absent), keptFromMs })
  }
}
