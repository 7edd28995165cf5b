// The dead letters of a project, each once however often it was written, with what became of it (letter-states.ts).
import { parseLetter } from '@millrace/consumer'
import type { Letter } from '@millrace/consumer'
import { dlqTopic, parseTopic, projectOfTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Admin, KafkaRecord } from '@millrace/kafka'
import type { Queryable } from '@millrace/stores/postgres'
import { readDecisions } from './letter-decisions.ts'
import { fingerprintOf } from './letter-fingerprint.ts'
import { letterStateOf, parseRedrivenFrom, redrivenFrom } from './letter-states.ts'
import type { LetterPlace, LetterState, Redriven } from './letter-states.ts'
import { readLog } from './read-log.ts'
import type { LogPart, ReadLogDeps } from './read-log.ts'

export interface LettersDeps extends ReadLogDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  readonly postgres: Queryable
  /** Letters that are looked at together, at most; about a kilobyte each. Default a million. */
  readonly maxLetters?: number
}

export interface LettersWanted {
  readonly projectId: string
  /** Only letters whose latest copy was written at or after this time, ms. */
  readonly sinceMs?: number
  /** Only letters with these ids; the others take no room. */
  readonly ids?: ReadonlySet<string>
}

/** A dead letter. The bytes of the record stay in the topic; see letter-records.ts. */
export interface FoundLetter extends Omit<Letter, 'headers'> {
  readonly projectId: string
  readonly fingerprint: string
  readonly state: LetterState
  /** Where its latest copy lies in the dead-letter topic, and how many there are. */
  readonly at: LetterPlace
  readonly copies: number
  /** Bytes of the record that failed. */
  readonly bytes: number
}

/**
 * The letters of a project by place, the oldest first. Throws PIPE_NOT_FOUND for a project without a dead-letter topic,
 * PIPE_INVALID_INPUT when there are more than `maxLetters`, PIPE_KAFKA_UNAVAILABLE and PIPE_POSTGRES_UNAVAILABLE.
 */
export async function readLetters(
  deps: LettersDeps,
  { projectId, sinceMs, ids }: LettersWanted
): Promise<readonly FoundLetter[]> {
  const { admin, postgres, maxLetters = 1_000_000 } = deps
  const topic = dlqTopic(projectId)
  const topics = await admin.listTopics()
  if (!topics.includes(topic)) throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}' with letters`)
  // Positions before letters: what a group has passed by then and failed at has its new letter in what is read below.
  const isWanted = (id: string): boolean => ids === undefined || ids.has(id)
  const redriven = await openRedriven(admin, topics, { projectId, sinceMs, isWanted })
  const decisions = await readDecisions(postgres, projectId)
  const parts = [...(await partsOf(admin, topic, sinceMs)), ...redriven.parts]
  const found = new Map<string, Omit<FoundLetter, 'state'>>()
  await readLog(deps, parts, (records) => {
    for (const record of records) {
      if (record.topic === topic) take(found, record, projectId, isWanted)
      else redriven.take(record)
    }
    if (found.size > maxLetters)
      throw new AppError(
        'PIPE_INVALID_INPUT',
        `there are more than ${maxLetters} letters; look at those written since a time (\`since\`)`
      )
  })
  return [...found.values()]
    .map((letter) => ({
      ...letter,
      state: letterStateOf(letter, redriven.of(letter.id), decisions.get(letter.id))
    }))
    .toSorted((a, b) => a.at.partition - b.at.partition || (a.at.offset < b.at.offset ? -1 : 1))
}

function take(
  found: Map<string, Omit<FoundLetter, 'state'>>,
  record: KafkaRecord,
  projectId: string,
  isWanted: (id: string) => boolean
): void {
  const letter = parseLetter(record)
  if (letter === undefined || !isWanted(letter.id)) return
  const { headers: _headers, ...told } = letter
  const earlier = found.get(letter.id)
  const { partition, offset } = record
  // The log may be handed over twice after a rebalance.
  if (earlier?.at.partition === partition && offset <= earlier.at.offset) return
  found.set(letter.id, {
    ...told,
    projectId,
    fingerprint: fingerprintOf(letter),
    at: { partition, offset },
    copies: (earlier?.copies ?? 0) + 1,
    bytes: record.value?.byteLength ?? 0
  })
}

/** The records of `topic` since a time, up to its end now. */
async function partsOf(
  admin: Pick<Admin, 'ranges' | 'offsetsAt'>,
  topic: string,
  sinceMs: number | undefined
): Promise<readonly LogPart[]> {
  const since = sinceMs === undefined ? undefined : await admin.offsetsAt(topic, sinceMs)
  const ranges = await admin.ranges(topic)
  return ranges.map(({ partition, start, end }) => {
    const from = since?.get(partition) ?? start
    return { topic, partition, from: from > start ? from : start, to: end }
  })
}

/** What the clocks of brokers may differ. */
const skewMs = 60_000

/** What lies in the redrive topics of a project. */
export interface RedrivenCopies {
  /** Where it lies. */
  readonly parts: readonly LogPart[]
  take(record: KafkaRecord): void
  /** The copies of a letter that were taken. */
  of(id: string): readonly Redriven[]
}

export interface RedrivenWanted {
  readonly projectId: string
  /** Only of letters written at or after this time, ms. */
  readonly sinceMs: number | undefined
  /** Copies of other letters take no room. */
  readonly isWanted: (id: string) => boolean
}

/** Asks how far the groups of the redrive topics are; whoever wants to know what lies there reads `parts`. */
export async function openRedriven(
  admin: Pick<Admin, 'groupOffsets' | 'ranges' | 'offsetsAt'>,
  topics: readonly string[],
  { projectId, sinceMs, isWanted }: RedrivenWanted
): Promise<RedrivenCopies> {
  const parts: LogPart[] = []
  const passed = new Map<string, bigint>()
  const found = new Map<string, { group: string; place: LetterPlace; key: string; offset: bigint }[]>()
  for (const topic of topics) {
    const parsed = parseTopic(topic)
    if (parsed?.family !== 'redrive') continue
    const committed = await admin.groupOffsets(parsed.parameter, topic)
    // A copy is younger than its letter, by the clock of another broker.
    const copiedSinceMs = sinceMs === undefined ? undefined : Math.max(0, sinceMs - skewMs)
    for (const part of await partsOf(admin, topic, copiedSinceMs)) {
      parts.push(part)
      passed.set(partitionKey(part), committed.get(part.partition) ?? 0n)
    }
  }
  return {
    parts: parts.filter(({ from, to }) => to > from),
    take(record) {
      const letter = parseLetter(record)
      const place = parseRedrivenFrom(record.headers[redrivenFrom]?.toString())
      if (letter === undefined || place === undefined || !isWanted(letter.id)) return
      if (projectOfTopic(letter.origin.topic) !== projectId) return
      const copies = found.get(letter.id) ?? []
      const group = parseTopic(record.topic)?.parameter ?? ''
      copies.push({ group, place, key: partitionKey(record), offset: record.offset })
      found.set(letter.id, copies)
    },
    of: (id) =>
      (found.get(id) ?? []).map(({ group, place, key, offset }) => ({
        group,
        from: place,
        fate: offset < (passed.get(key) ?? 0n) ? 'passed' : 'waiting'
      }))
  }
}
