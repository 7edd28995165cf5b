// Fills the tables of the warehouse again from the archive, and from the log where the archive ends. Loaders may run
// meanwhile: a row is a pure function of its record and rows of one event collapse, so nothing is loaded twice, and the
// goal is fixed after the tables are there, so whatever a loader wrote into tables that were dropped lies before it.
import type { RawRecord } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Admin } from '@millrace/kafka'
import type { ArchiveFile } from '@millrace/stores/archive-manifest'
import type { ObjectStore } from '@millrace/stores/object-store'
import { readArchivedRecords } from './archive-records.ts'
import { moveGroup } from './move-group.ts'
import type { GroupMove } from './move-group.ts'
import { createPacedLoad } from './paced-load.ts'
import type { LoadProgress } from './paced-load.ts'
import { readLog } from './read-log.ts'
import type { LogPart, ReadLogDeps } from './read-log.ts'
import { goalOf, planWarehouse, recordsOf } from './warehouse-plan.ts'
import type { PlanDeps, WarehousePlan } from './warehouse-plan.ts'
import type { LoadedDays, RefusedRecord, WarehouseSink } from './warehouse-sink.ts'

export interface RebuildDeps {
  readonly manifest: PlanDeps['manifest']
  readonly objects: Pick<ObjectStore, 'get'>
  /** Undefined: the archive alone, and the group stays where it is. */
  readonly log: (ReadLogDeps & { readonly admin: RebuildAdmin }) | undefined
  readonly sink: WarehouseSink
  readonly clock: Clock
  readonly onProgress?: (progress: LoadProgress) => void
}

export type RebuildAdmin = Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets' | 'setGroupOffsets'>

export interface RebuildRequest {
  /** None named: all. */
  readonly projects: readonly string[]
  /** The group of the loaders. */
  readonly group: string
  /** Records a second at most; undefined: as fast as it goes. */
  readonly perSecond?: number | undefined
}

/** A file that could not be loaded; the rest was. */
export interface BrokenFile {
  readonly key: string
  readonly problem: string
}

export interface RebuildReport {
  readonly projects: readonly string[]
  readonly files: number
  /** Records read from files and from the log. */
  readonly archived: number
  readonly logged: number
  /** Records among them that are no events. */
  readonly invalid: number
  readonly refused: readonly RefusedRecord[]
  readonly broken: readonly BrokenFile[]
  /** Offsets that neither the archive nor the log has. */
  readonly gone: readonly LogPart[]
  /** Days (UTC, start in ms) of the events that were loaded, by project. */
  readonly days: LoadedDays
  /** Nothing that was ever in the log is missing: the archive and the log were read, and all of it was taken. */
  readonly isWhole: boolean
  readonly group: GroupMove
  readonly elapsedMs: number
}

/**
 * Loads everything up to the end that the log has now. Running it again after any end is harmless. What cannot be loaded
 * is part of the report; throws when something does not answer (PIPE_OBJECTS_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE,
 * PIPE_KAFKA_UNAVAILABLE, PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_DEADLINE) and PIPE_TABLE_DRIFT when the tables do not fit.
 */
export async function rebuildWarehouse(deps: RebuildDeps, request: RebuildRequest): Promise<RebuildReport> {
  const { manifest, log, sink, clock } = deps
  const { projects, group, perSecond } = request
  const startedAtMs = clock.monotonic()
  await sink.check()
  const goal = await goalOf(log?.admin, projects)
  const plan = (): Promise<WarehousePlan> => planWarehouse({ manifest, admin: log?.admin }, projects, goal)
  const total = recordsOf(await plan())
  const { add, done } = createPacedLoad({ sink, clock, perSecond, total, onProgress: deps.onProgress })
  const files = createFileLoader(deps, plan, add)
  const { tails, gone } = await files.load()
  const archived = done()
  const lost: LogPart[] = []
  if (log !== undefined) await loadTails(log, tails, add, (part) => void lost.push(part))
  const logged = done() - archived
  // What the log forgot while it was read may have become a file meanwhile.
  const { projects: found, archivedTo } = lost.length > 0 ? await files.load() : await plan()
  const { invalid, refused, days } = await sink.end()
  const allGone = [...gone, ...lost.flatMap((part) => behind(part, archivedTo.get(partitionKey(part)) ?? 0n))]
  // A loader may still find in the log what a file does not give, and it writes letters of what is refused.
  const isLoaded = log !== undefined && files.broken.length === 0 && refused.length === 0
  return {
    projects: found,
    files: files.count(),
    archived: done() - logged,
    logged,
    invalid,
    refused,
    broken: files.broken,
    gone: allGone,
    days,
    isWhole: isLoaded && allGone.length === 0,
    group: isLoaded ? await moveGroup(log.admin, group, goal) : 'untouched',
    elapsedMs: clock.monotonic() - startedAtMs
  }
}

/**
 * Whether tables that a rebuild of all projects has filled may be counted as everything that there is. Offsets that are
 * gone for good never come back, so only a person can say that their days may stay too low: `acceptGone`.
 */
export function countsAsWhole(
  { isWhole, broken, refused }: Pick<RebuildReport, 'isWhole' | 'broken' | 'refused'>,
  acceptGone: boolean
): boolean {
  return isWhole || (acceptGone && broken.length === 0 && refused.length === 0)
}

/** The part of `part` from `position` on, if there is any. */
function behind(part: LogPart, position: bigint): readonly LogPart[] {
  const from = part.from > position ? part.from : position
  return from < part.to ? [{ ...part, from }] : []
}

type Add = (records: readonly RawRecord[]) => Promise<void>

interface FileLoader {
  /**
   * Loads every file that was not loaded before, until there is none: the archiver goes on meanwhile, and the log forgets
   * behind it. Resolves with the last plan.
   */
  load(): Promise<WarehousePlan>
  /** Files that were loaded. */
  count(): number
  readonly broken: readonly BrokenFile[]
}

function createFileLoader({ objects }: RebuildDeps, plan: () => Promise<WarehousePlan>, add: Add): FileLoader {
  const broken: BrokenFile[] = []
  const seen = new Set<string>()
  return {
    broken,
    count: () => seen.size - broken.length,
    async load() {
      for (;;) {
        const last = await plan()
        const files = last.files.filter(({ key }) => !seen.has(key))
        if (files.length === 0) return last
        for (const file of files) {
          seen.add(file.key)
          const problem = await loadFile(objects, file, add)
          if (problem !== undefined) broken.push({ key: file.key, problem })
        }
      }
    }
  }
}

/** Loads one file; resolves with what is wrong with it, if anything is. Throws what `add` throws, PIPE_OBJECTS_UNAVAILABLE. */
export async function loadFile(
  objects: Pick<ObjectStore, 'get'>,
  file: ArchiveFile,
  add: Add
): Promise<string | undefined> {
  try {
    for await (const records of readArchivedRecords(objects, file)) await add(records)
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code !== 'PIPE_NOT_FOUND' && error.code !== 'PIPE_INVALID_INPUT') throw error
    return error.message
  }
}

/** Records of the log that are loaded at once, and their bytes. */
const tailBatch = { rows: 20_000, bytes: 32 * 1024 ** 2 }

async function loadTails(
  log: ReadLogDeps,
  tails: readonly LogPart[],
  add: Add,
  onGone: (part: LogPart) => void
): Promise<void> {
  let waiting: RawRecord[] = []
  let bytes = 0
  const load = async (): Promise<void> => {
    const batch = waiting
    waiting = []
    bytes = 0
    if (batch.length > 0) await add(batch)
  }
  await readLog({ ...log, onGone }, tails, async (records) => {
    for (const record of records) {
      waiting.push(record)
      bytes += record.value?.byteLength ?? 0
      if (waiting.length >= tailBatch.rows || bytes >= tailBatch.bytes) await load()
    }
  })
  await load()
}
