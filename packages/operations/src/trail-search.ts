// Looks for an event that no store knows by its id: among the dead letters, and in the part of the log where it may be.
import { parseLetter } from '@millrace/consumer'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { partitionFor } from '@millrace/kafka'
import type { Admin, KafkaRecord } from '@millrace/kafka'
import { max, min } from './offsets.ts'
import { readLog } from './read-log.ts'
import type { LogPart, ReadLogDeps } from './read-log.ts'
import { iso } from './trail-rows.ts'
import type { EventName, TrailPlace } from './trail-rows.ts'

export interface SearchDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  readonly log: ReadLogDeps
  /** Group of the loaders; default `load`. */
  readonly loadGroup?: string
}

export interface SearchRequest extends EventName {
  /** When the event was sent, about; the log is searched around it when nothing else knows the event. */
  readonly aroundMs?: number | undefined
}

export interface TrailLetter {
  readonly id: string
  readonly group: string
  readonly reason: string
  readonly code: string
  readonly message: string
  readonly offset: bigint
  readonly partition: number
}

export interface Searched {
  readonly place: TrailPlace | undefined
  readonly foundBy: 'letters' | 'log' | undefined
  readonly eventType: string | undefined
  readonly timestamp: string | undefined
  readonly letters: readonly TrailLetter[]
}

/** Throws PIPE_NOT_FOUND for a project without a log, PIPE_KAFKA_UNAVAILABLE, PIPE_DEADLINE. */
export async function searchEvent(deps: SearchDeps, request: SearchRequest): Promise<Searched> {
  const { admin } = deps
  const topic = rawTopic(request.projectId)
  if (!(await admin.listTopics()).includes(topic))
    throw new AppError('PIPE_NOT_FOUND', `there is no topic ${topic}: is '${request.projectId}' a project?`)
  const letters = await lettersOf(deps, request, undefined)
  const record = await findRecord(deps, request, topic)
  if (record !== undefined) {
    const enriched = createEnrich()(record)
    const { eventType, timestamp } = enriched.ok ? enriched.row : {}
    const at = timestamp === undefined ? undefined : iso(timestamp)
    return { place: placeOf(record), foundBy: 'log', eventType, timestamp: at, letters }
  }
  const [letter] = letters
  const place =
    letter === undefined
      ? undefined
      : { topic, partition: letter.partition, offset: letter.offset, appendedAt: letter.appendedAt }
  return {
    place,
    foundBy: place === undefined ? undefined : 'letters',
    eventType: undefined,
    timestamp: undefined,
    letters
  }
}

/** Records that are read for a search at most. */
const maxSearched = 500_000n
const aroundMs = 10 * 60_000

/** What waits for the loaders, and what was appended around the given time, of the partitions that the key may be in. */
async function findRecord(
  { admin, log, loadGroup = 'load' }: SearchDeps,
  { eventId, aroundMs: givenMs }: SearchRequest,
  topic: string
): Promise<KafkaRecord | undefined> {
  const ranges = await admin.ranges(topic)
  const committed = await admin.groupOffsets(loadGroup, topic)
  const [since, until] =
    givenMs === undefined
      ? [undefined, undefined]
      : await Promise.all([admin.offsetsAt(topic, givenMs - aroundMs), admin.offsetsAt(topic, givenMs + aroundMs)])
  const likely = partitionFor(eventId, ranges.length)
  const parts: LogPart[] = []
  // By the plain key first; projects with another key, or with more partitions than before, have it elsewhere.
  for (const { partition, start, end } of ranges.toSorted(
    (a, b) => Number(b.partition === likely) - Number(a.partition === likely)
  )) {
    const waiting = committed.get(partition) ?? start
    const from = max(start, min(since?.get(partition) ?? waiting, waiting))
    const to = since === undefined || waiting <= (until?.get(partition) ?? 0n) ? end : (until?.get(partition) ?? end)
    if (to > from) parts.push({ topic, partition, from: max(from, to - maxSearched), to })
  }
  let found: KafkaRecord | undefined
  await readLog(log, parts, (records) => {
    for (const record of records) {
      if (!mayBeOf(eventId, record)) continue
      if (found === undefined || record.offset < found.offset) found = record
    }
  })
  return found
}

export interface FoundLetter extends TrailLetter {
  readonly appendedAt: string
}

/** The letters of an event: of the record at `place`, else of all records with its key. */
export async function lettersOf(
  { admin, log }: SearchDeps,
  { projectId, eventId }: SearchRequest,
  place: TrailPlace | undefined
): Promise<readonly FoundLetter[]> {
  const topic = dlqTopic(projectId)
  if (!(await admin.listTopics()).includes(topic)) return []
  const starts = place === undefined ? undefined : await admin.offsetsAt(topic, Date.parse(place.appendedAt))
  const parts = (await admin.ranges(topic)).map(({ partition, start, end }) => {
    const from = max(starts?.get(partition) ?? start, end - maxSearched)
    return { topic, partition, from: max(start, from), to: end }
  })
  const letters = new Map<string, FoundLetter>()
  await readLog(log, parts, (records) => {
    for (const record of records) {
      const letter = parseLetter(record)
      if (letter === undefined) continue
      const { id, group, reason, code, message, origin } = letter
      const isItself =
        place === undefined
          ? mayBeOf(eventId, record)
          : origin.topic === place.topic && origin.partition === place.partition && origin.offset === place.offset
      if (!isItself) continue
      const { partition, offset, appendedAtMs } = origin
      letters.set(id, { id, group, reason, code, message, partition, offset, appendedAt: iso(appendedAtMs) })
    }
  })
  return [...letters.values()]
}

/** By its key, which is the id of the event, or ends with it. */
function mayBeOf(eventId: string, { key }: Pick<KafkaRecord, 'key'>): boolean {
  const text = key?.toString() ?? ''
  return text === eventId || text.endsWith(`:${eventId}`)
}

function placeOf({ topic, partition, offset, appendedAtMs }: KafkaRecord): TrailPlace {
  return { topic, partition, offset, appendedAt: iso(appendedAtMs) }
}
