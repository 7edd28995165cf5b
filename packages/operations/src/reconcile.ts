// Whether everything that was accepted is where it belongs: every event of a part of the log is shown by the warehouse once,
// or has a dead letter, or waits; nothing is shown that the log does not have; and closed live windows count what is there.
//
// Memory: keys go to disk in classes of some ten thousand and are compared class by class, about 900 bytes an event while it
// is being compared. What is held besides are the dead letters of the range and the places of what is no event.
import { tmpdir } from 'node:os'
import { parseLetter } from '@millrace/consumer'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { readLog } from './read-log.ts'
import type { ReadLogDeps } from './read-log.ts'
import { countOf, rangeOf } from './reconcile-range.ts'
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
  /** Undefined: all that is asked for, in the temporary folder. */
  readonly limits?: ReconcileLimits
  readonly onProgress?: (done: bigint, of: bigint) => void
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
  /** Broker time; default: all that the log has, up to where the loaders are. */
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  /** Consumer groups of the loaders and processors; default `load`, `process`. */
  readonly loadGroup?: string
  readonly processGroup?: string
  readonly table?: 'events' | 'events_raw'
}

export interface Place {
  readonly partition: number
  readonly offset: bigint
  /** Undefined for what is no event, or is known by its key alone. */
  readonly eventId: string | undefined
}

/** How many there are, and the first of them. */
export interface Found {
  readonly count: number
  readonly examples: readonly Place[]
}

export interface Reconciliation {
  readonly projectId: string
  readonly topic: string
  /** What was compared. */
  readonly parts: readonly ReplayPart[]
  readonly records: number
  /** The oldest records of the range, left out because of a limit. */
  readonly cut: bigint
  /** Different events among them, and further copies of those. */
  readonly events: number
  readonly copies: number
  /** Events that are shown; those whose first copy lies before the range included. */
  readonly landed: number
  /** Records with a dead letter: no events, or refused by the warehouse. */
  readonly dead: number
  /** Records of the range that the loaders, or what is no event the processors, have not come to yet: not compared. */
  readonly pending: bigint
  /** Events without a row and without a letter. */
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

const maxExamples = 20
const perClass = 50_000
/** Two files each. */
const maxClasses = 400
/** Keys of both sides; 193 were measured with ids of 36 characters. */
const bytesPerRecord = 400

/**
 * Compares a part of the log of a project. Throws PIPE_NOT_FOUND for a project without a log, PIPE_KAFKA_UNAVAILABLE,
 * PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_SPOOL_UNAVAILABLE and PIPE_DEADLINE, and PIPE_INVALID_INPUT over a limit that cutting
 * the range did not keep.
 */
export async function reconcile(deps: ReconcileDeps, request: ReconcileRequest): Promise<Reconciliation> {
  const { clickhouse } = deps
  const { projectId, table = 'events' } = request
  const topic = rawTopic(projectId)
  if (!(await deps.admin.listTopics()).includes(topic))
    throw new AppError('PIPE_NOT_FOUND', `there is no topic ${topic}: is '${projectId}' a project?`)
  const { folder, maxBytes, maxHeld } = deps.limits ?? { folder: tmpdir(), maxBytes: Infinity, maxHeld: Infinity }
  const groups = { load: request.loadGroup ?? 'load', process: request.processGroup ?? 'process' }
  const { fromMs, toMs } = request
  const wanted = { topic, loadGroup: groups.load, fromMs, toMs, most: maxBytes / bytesPerRecord }
  const { parts, pending, cut } = await rangeOf(deps.admin, wanted)
  const total = countOf(parts)
  const classes = Math.min(maxClasses, Math.max(1, Math.ceil(Number(total) / perClass)))
  await using spool = await openSpool({ folder, classes, maxBytes })
  const latenessMs = deps.windows?.latenessMs ?? 0
  // Before the log: what the processors have passed by then has its letter.
  const processed = await deps.admin.groupOffsets(groups.process, topic)
  const read = await spoolLog(deps, { topic, parts, total, latenessMs, maxHeld }, spool)
  const letters = await readLetterPlaces(deps, { projectId, sinceMs: read.firstMs, maxHeld })
  await readShown(clickhouse, { projectId, topic, parts, table }, ({ key, partition, offset }) =>
    spool.add('there', key, `${key}\t${partition}\t${offset}`)
  )
  const tally = createTally()
  let unprocessed = 0n
  for (const { partition, offset } of read.invalid.places)
    if (letters.has(`${groups.process}:${partition}:${offset}`)) tally.dead++
    else if (offset < (processed.get(partition) ?? 0n))
      note(tally.unlettered, { partition, offset, eventId: undefined })
    else unprocessed += 1n
  for (let index = 0; index < spool.classes; index++)
    await compareClass({ spool, index, tally, letters, clickhouse, projectId, table, load: groups.load })
  const windows =
    deps.windows === undefined
      ? undefined
      : await compareWindows(deps.windows, deps.admin, { projectId, topic, parts }, tally.hours)
  const { missing, extra, repeated, unlettered, events, copies, landed, dead } = tally
  const wrong = missing.count + extra.count + repeated.count + unlettered.count + (windows?.wrong.length ?? 0)
  return {
    projectId,
    topic,
    parts,
    records: read.records,
    cut,
    events,
    copies,
    landed,
    dead,
    pending: pending + unprocessed,
    missing,
    extra,
    repeated,
    unlettered,
    windows,
    isGreen: wrong === 0
  }
}

interface ReadParts {
  readonly records: number
  /** Records that are no events. */
  readonly invalid: { readonly places: readonly Omit<Place, 'eventId'>[] }
  /** Append time of the oldest record. */
  readonly firstMs: number
}

interface LogWanted {
  readonly topic: string
  readonly parts: readonly ReplayPart[]
  readonly total: bigint
  readonly latenessMs: number
  readonly maxHeld: number
}

async function spoolLog(
  { log, onProgress }: ReconcileDeps,
  { topic, parts, total, latenessMs, maxHeld }: LogWanted,
  spool: Spool
): Promise<ReadParts> {
  const enrich = createEnrich()
  const places: Omit<Place, 'eventId'>[] = []
  let records = 0
  let firstMs = Infinity
  const take = (record: RawRecord): void => {
    const { partition, offset, appendedAtMs } = record
    records++
    firstMs = Math.min(firstMs, appendedAtMs)
    const enriched = enrich(record)
    if (!enriched.ok) return void places.push({ partition, offset })
    const { eventType, eventId, timestamp, latenessMs: late } = enriched.row
    const key = eventKey(eventType, timestamp, eventId)
    const isOnTime = late <= latenessMs ? 1 : 0
    spool.add(
      'log',
      key,
      `${key}\t${partition}\t${offset}\t${isOnTime}\t${timestamp}\t${Buffer.from(eventId).toString('base64')}`
    )
  }
  await readLog(
    log,
    parts.map((part) => ({ ...part, topic })),
    (found) => {
      for (const record of found) take(record)
      refuseOver(maxHeld, places.length, 'records that are no events')
      onProgress?.(BigInt(records), total)
    }
  )
  return { records, invalid: { places }, firstMs }
}

/** `group:partition:offset` of the records of a project that have a letter. */
async function readLetterPlaces(
  { admin, log }: ReconcileDeps,
  { projectId, sinceMs, maxHeld }: { readonly projectId: string; readonly sinceMs: number; readonly maxHeld: number }
): Promise<ReadonlySet<string>> {
  const topic = dlqTopic(projectId)
  const raw = rawTopic(projectId)
  const letters = new Set<string>()
  if (sinceMs === Infinity || !(await admin.listTopics()).includes(topic)) return letters
  // A letter is written after its record.
  const starts = await admin.offsetsAt(topic, sinceMs)
  const parts = (await admin.ranges(topic)).map(({ partition, start, end }) => ({
    topic,
    partition,
    from: starts.get(partition) ?? start,
    to: end
  }))
  await readLog(log, parts, (records) => {
    for (const record of records) {
      const letter = parseLetter(record)
      if (letter?.origin.topic === raw)
        letters.add(`${letter.group}:${letter.origin.partition}:${letter.origin.offset}`)
    }
    refuseOver(maxHeld, letters.size, 'dead letters')
  })
  return letters
}

function refuseOver(most: number, count: number, what: string): void {
  if (count > most)
    throw new AppError('PIPE_INVALID_INPUT', `there are more than ${most} ${what} in the range; compare a shorter time`)
}

interface MutableFound {
  count: number
  readonly examples: Place[]
}

interface Tally {
  events: number
  copies: number
  landed: number
  dead: number
  readonly missing: MutableFound
  readonly extra: MutableFound
  readonly repeated: MutableFound
  readonly unlettered: MutableFound
  /** Different events that came on time, by the hour of their event time in ms. */
  readonly hours: Map<number, number>
}

function createTally(): Tally {
  const found = (): MutableFound => ({ count: 0, examples: [] })
  const empty = { events: 0, copies: 0, landed: 0, dead: 0 }
  return { ...empty, missing: found(), extra: found(), repeated: found(), unlettered: found(), hours: new Map() }
}

function note(found: MutableFound, place: Place): void {
  found.count++
  if (found.examples.length < maxExamples) found.examples.push(place)
}

interface ClassWork {
  readonly spool: Spool
  readonly index: number
  readonly tally: Tally
  readonly letters: ReadonlySet<string>
  readonly clickhouse: ReconcileDeps['clickhouse']
  readonly projectId: string
  readonly table: 'events' | 'events_raw'
  readonly load: string
}

interface Logged extends Place {
  readonly key: string
  readonly eventId: string
  readonly eventType: string
  readonly timestampMs: number
  isOnTime: boolean
  isDead: boolean
}

const hourMs = 3_600_000

async function compareClass({
  spool,
  index,
  tally,
  letters,
  clickhouse,
  projectId,
  table,
  load
}: ClassWork): Promise<void> {
  const logged = new Map<string, Logged>()
  for (const line of spool.read('log', index)) {
    const event = toLogged(line)
    const isDead = letters.has(`${load}:${event.partition}:${event.offset}`)
    const first = logged.get(event.key)
    if (first === undefined) logged.set(event.key, { ...event, isDead })
    else {
      tally.copies++
      first.isOnTime ||= event.isOnTime
      first.isDead &&= isDead
    }
  }
  const shown = new Set<string>()
  for (const line of spool.read('there', index)) {
    const at = line.lastIndexOf('\t', line.lastIndexOf('\t') - 1)
    const key = line.slice(0, at)
    const [partition = '', offset = ''] = line.slice(at + 1).split('\t')
    const place = { partition: Number(partition), offset: BigInt(offset), eventId: logged.get(key)?.eventId }
    if (!logged.has(key)) note(tally.extra, place)
    // The table behind the view has several rows of an event until they are merged.
    else if (shown.has(key) && table === 'events') note(tally.repeated, place)
    shown.add(key)
  }
  const absent: Logged[] = []
  for (const event of logged.values()) {
    tally.events++
    if (event.isOnTime) {
      const hour = event.timestampMs - (event.timestampMs % hourMs)
      tally.hours.set(hour, (tally.hours.get(hour) ?? 0) + 1)
    }
    if (shown.has(event.key)) tally.landed++
    else absent.push(event)
  }
  const elsewhere = await findKeys(clickhouse, projectId, absent)
  for (const event of absent)
    if (elsewhere.has(event.key)) tally.landed++
    else if (event.isDead) tally.dead++
    else note(tally.missing, { partition: event.partition, offset: event.offset, eventId: event.eventId })
}

function toLogged(line: string): Omit<Logged, 'isDead'> {
  const [eventType = '', day = '', digest = '', partition = '', offset = '', onTime, timestamp = '', id = ''] =
    line.split('\t')
  return {
    key: `${eventType}\t${day}\t${digest}`,
    eventType,
    partition: Number(partition),
    offset: BigInt(offset),
    isOnTime: onTime === '1',
    timestampMs: Number(timestamp),
    eventId: Buffer.from(id, 'base64').toString()
  }
}
