// Sends dead letters once more to the groups that lack the record (redrive-targets.ts), through their redrive topics;
// letters of a group that keeps its own positions have their day counted again instead. What is on its way or closed is left
// alone, which is read from the topics themselves: a redrive that was killed is repeated, and sends what is missing.
import { redriveTopic } from '@millrace/contracts'
import type { Enrich, RawRecord } from '@millrace/contracts'
import type { Admin, ProduceOutcome, ProduceRecord, Producer } from '@millrace/kafka'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { queueRecount } from './daily-metrics.ts'
import { dayOf, queueLetterDays } from './letter-days.ts'
import { writeDecisions } from './letter-decisions.ts'
import { parseLetterFilter } from './letter-filter.ts'
import { readLetterRecords } from './letter-records.ts'
import type { LetterRecord } from './letter-records.ts'
import { redrivenFrom, writeRedrivenFrom } from './letter-states.ts'
import { readLetters } from './letters.ts'
import type { FoundLetter, LettersDeps } from './letters.ts'
import type { RedriveLock } from './redrive-lock.ts'
import { failedSince, letterId, redriveGroups } from './redrive-targets.ts'

export interface RedriveDeps extends Omit<LettersDeps, 'postgres'> {
  readonly postgres: Postgres
  /** One redrive of a project at a time. */
  readonly lock: RedriveLock
  readonly producer: Pick<Producer, 'produce' | 'partitionCount'>
  readonly enrich: Enrich
  /** Who acts, for the audit log. */
  readonly actor: string
  /** Groups whose sink keeps its own positions: nothing can be sent to them out of order. */
  readonly countingGroups: readonly string[]
  /** Groups that fill the warehouse: the days of their letters are counted again when they have landed. */
  readonly loadingGroups: readonly string[]
  /** Groups that keep events one by one: they skip what is no event, as those of the warehouse do. */
  readonly recordingGroups: readonly string[]
  readonly onProgress?: (sent: number, of: number) => void
}

/**
 * What is done about letters that fail again: `reinsert` leaves them open, `drop` gives them up, `stop` sends in growing
 * waves and ends with the first wave in which one fails.
 */
export type OnFailure = 'reinsert' | 'drop' | 'stop'

export interface RedriveRequest {
  readonly projectId: string
  /** Conditions (letter-filter.ts) that all must hold; only open letters are taken. */
  readonly where: readonly string[]
  readonly sinceMs?: number
  /** Letters at most, the oldest first. */
  readonly limit: number
  /** Letters a second at most. */
  readonly perSecond: number
  readonly onFailure: OnFailure
  /** How long to wait for the group to come to them. */
  readonly waitMs: number
}

/**
 * `landed`: all groups that it was sent to passed it. `failed`: one of them wrote a letter of it. `waiting`: one has not
 * come to it yet. `recounted`: its day is counted again. `refused`: it was not sent; `detail` says why. `gone`: retention
 * took it meanwhile.
 */
export type RedriveOutcome = 'landed' | 'failed' | 'waiting' | 'recounted' | 'refused' | 'gone'

export interface RedriveResult {
  readonly id: string
  readonly outcome: RedriveOutcome
  readonly detail?: string
}

export interface RedriveReport {
  /** Open letters that the conditions match; more than were taken when a limit held. */
  readonly matched: number
  readonly outcomes: Readonly<Record<RedriveOutcome, number>>
  readonly dropped: number
  /** Ended before the last letter because one failed. */
  readonly stopped: boolean
  readonly results: readonly RedriveResult[]
}

/** The open letters that a redrive would take, the oldest first, and how many more match. Changes nothing. */
export async function previewRedrive(
  deps: LettersDeps,
  { projectId, where, sinceMs, limit }: Pick<RedriveRequest, 'projectId' | 'where' | 'sinceMs' | 'limit'>
): Promise<{ readonly matched: number; readonly letters: readonly FoundLetter[] }> {
  const matches = parseLetterFilter(where)
  const letters = await readLetters(deps, { projectId, ...(sinceMs === undefined ? {} : { sinceMs }) })
  const open = letters.filter((letter) => letter.state === 'open' && matches(letter))
  return { matched: open.length, letters: open.slice(0, limit) }
}

/**
 * Redrives letters. One redrive of a project at a time; PIPE_CONFLICT while another one runs. Throws what `readLetters`
 * throws; what was sent by then is on its way, and a repeat sends the rest.
 */
export async function redriveLetters(deps: RedriveDeps, request: RedriveRequest): Promise<RedriveReport> {
  const { postgres, actor } = deps
  const { projectId } = request
  return await deps.lock(projectId, async (assertHeld) => {
    const { matched, letters } = await previewRedrive(deps, request)
    const { where, limit, perSecond, onFailure } = request
    const asked = { where, limit, perSecond, onFailure, matched, letters: letters.length }
    const audit = { actor, projectId, subject: projectId }
    await writeAudit(postgres, { ...audit, action: 'letters.redrive', details: asked })
    const report = await run({ ...deps, assertHeld }, request, { matched, letters })
    const { results: _results, ...told } = report
    await writeAudit(postgres, { ...audit, action: 'letters.redriven', details: told })
    return report
  })
}

/** What the work has besides: whether it may go on. */
interface WorkDeps extends RedriveDeps {
  readonly assertHeld: () => void
}

/** First wave of `stop`; each further one is twice as large. */
const firstWave = 10

async function run(
  deps: WorkDeps,
  request: RedriveRequest,
  { matched, letters }: { readonly matched: number; readonly letters: readonly FoundLetter[] }
): Promise<RedriveReport> {
  const results: RedriveResult[] = []
  const sendable = await splitByGroup(deps, letters, results)
  let stopped = false
  let wave = request.onFailure === 'stop' ? firstWave : Math.max(1, sendable.length)
  for (let at = 0; at < sendable.length && !stopped; wave *= 2) {
    const sent = await sendWave(deps, request, sendable.slice(at, at + wave), results)
    at += wave
    deps.onProgress?.(Math.min(at, sendable.length), sendable.length)
    const fates = await watchWave(deps, request, sent)
    results.push(...fates)
    stopped = request.onFailure === 'stop' && at < sendable.length && fates.some(({ outcome }) => outcome !== 'landed')
  }
  const failed = new Set(results.filter(({ outcome }) => outcome === 'failed').map(({ id }) => id))
  const dropped = request.onFailure === 'drop' ? await dropAgain(deps, request, failed) : 0
  return { matched, outcomes: countOutcomes(results), dropped, stopped, results }
}

/** The letters that can be sent; the days of the others are counted again, or the reason is told. */
async function splitByGroup(
  deps: RedriveDeps,
  letters: readonly FoundLetter[],
  results: RedriveResult[]
): Promise<readonly FoundLetter[]> {
  const { admin, postgres, enrich, clock, client, countingGroups } = deps
  const topics = new Set(await admin.listTopics())
  const counting = letters.filter(({ group }) => countingGroups.includes(group))
  const [projectId = ''] = counting.map((letter) => letter.projectId)
  await readLetterRecords({ client, clock }, counting, async (records) => {
    const days = records.map((record) => dayOf(toRaw(record), enrich))
    await queueRecount(postgres, projectId, days, 'letter')
    await writeDecisions(
      postgres,
      projectId,
      'recount',
      records.map(({ letter }) => letter)
    )
    results.push(...records.map(({ letter }) => ({ id: letter.id, outcome: 'recounted' as const })))
  })
  const sendable: FoundLetter[] = []
  for (const letter of letters) {
    const { id, group, origin, stub } = letter
    const refuse = (detail: string): void => void results.push({ id, outcome: 'refused', detail })
    if (countingGroups.includes(group)) continue
    const lacking = redriveGroups(deps, letter).find((each) => !topics.has(redriveTopic(each)))
    if (lacking !== undefined) refuse(`the group '${lacking}' has no topic ${redriveTopic(lacking)}`)
    else if (stub)
      refuse(`its bytes are only in ${origin.topic}:${origin.partition}:${origin.offset}; replay that offset`)
    else sendable.push(letter)
  }
  return sendable
}

/** The record that failed, under its own coordinates. */
function toRaw({ letter: { origin }, record: { value } }: LetterRecord): RawRecord {
  return { ...origin, value }
}

interface Sent {
  readonly letter: FoundLetter
  readonly group: string
  readonly partition: number
  readonly offset: bigint
}

/** Sends letters in order at the rate that was asked for; resolves when all are acknowledged. */
async function sendWave(
  deps: WorkDeps,
  { perSecond }: RedriveRequest,
  letters: readonly FoundLetter[],
  results: RedriveResult[]
): Promise<readonly Sent[]> {
  const { clock, client } = deps
  const sent: Sent[] = []
  const seen = new Set<string>()
  const startedAtMs = clock.monotonic()
  let count = 0
  await readLetterRecords({ client, clock }, letters, async (records) => {
    for (const own of Map.groupBy(records, ({ letter }) => redriveGroups(deps, letter).join()).values()) {
      for (const batch of toBatches(own, perSecond)) {
        const dueAtMs = startedAtMs + (count / perSecond) * 1_000
        if (dueAtMs > clock.monotonic()) await clock.sleep(dueAtMs - clock.monotonic())
        deps.assertHeld()
        count += batch.length
        for (const { letter } of batch) seen.add(letter.id)
        sent.push(...(await sendBatch(deps, batch, results)))
      }
    }
  })
  for (const { id } of letters) if (!seen.has(id)) results.push({ id, outcome: 'gone' })
  return sent
}

/** Sends letters that go to the same groups, to their own last: a letter that was not sent to all of them is open. */
async function sendBatch(
  deps: RedriveDeps,
  batch: readonly LetterRecord[],
  results: RedriveResult[]
): Promise<readonly Sent[]> {
  const { producer } = deps
  const [first] = batch
  const groups = first === undefined ? [] : redriveGroups(deps, first.letter)
  const recounts = groups.some((group) => deps.loadingGroups.includes(group))
  const queueDays = async (): Promise<void> =>
    recounts ? await queueLetterDays(deps, first?.letter.projectId ?? '', batch.map(toRaw)) : undefined
  // Before, or a redrive that is killed would forget them; after, since a count may be made in between.
  await queueDays()
  const sent: Sent[] = []
  let left = batch
  for (const group of groups) {
    if (left.length === 0) break
    const topic = redriveTopic(group)
    const partitions = await producer.partitionCount(topic)
    const outcomes = await producer.produce(
      topic,
      left.map((record) => toRedriven(record, partitions))
    )
    left = left.filter(({ letter }, index) => {
      const outcome = outcomes[index]
      const partition = letter.origin.partition % partitions
      if (outcome?.kind === 'acked') sent.push({ letter, group, partition, offset: outcome.offset })
      else results.push({ id: letter.id, outcome: 'refused', detail: whyNot(outcome) })
      return outcome?.kind === 'acked'
    })
  }
  await queueDays()
  const whole = new Set(left.map(({ letter }) => letter))
  return sent.filter(({ letter }) => whole.has(letter))
}

function whyNot(outcome: Exclude<ProduceOutcome, { kind: 'acked' }> | undefined): string {
  if (outcome?.kind === 'refused') return `${outcome.code}: ${outcome.message}`
  return `may be on its way, a repeat looks: ${outcome?.message ?? 'no answer'}`
}

const batchLetters = 500
const batchBytes = 1024 ** 2

function* toBatches(records: readonly LetterRecord[], perSecond: number): Generator<readonly LetterRecord[]> {
  const most = Math.max(1, Math.min(batchLetters, Math.floor(perSecond / 4)))
  let batch: LetterRecord[] = []
  let bytes = 0
  for (const record of records) {
    const own = record.letter.bytes + 4_096
    if (batch.length >= most || (batch.length > 0 && bytes + own > batchBytes)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(record)
    bytes += own
  }
  if (batch.length > 0) yield batch
}

/** The letter as it is, headers included, and where it was taken from. */
function toRedriven({ letter, record }: LetterRecord, partitions: number): ProduceRecord {
  const { key, value, headers } = record
  const from = writeRedrivenFrom(letter.at)
  return { partition: letter.origin.partition % partitions, key, value, headers: { ...headers, [redrivenFrom]: from } }
}

const pollMs = 250

/** Waits until the groups passed what was sent, and says what became of each. */
async function watchWave(
  deps: RedriveDeps,
  { projectId, waitMs }: RedriveRequest,
  sent: readonly Sent[]
): Promise<readonly RedriveResult[]> {
  const { admin, clock } = deps
  const untilMs = clock.monotonic() + waitMs
  let waiting = sent
  while (waiting.length > 0) {
    waiting = await notPassed(admin, waiting)
    if (waiting.length === 0 || clock.monotonic() >= untilMs) break
    await clock.sleep(Math.min(pollMs, untilMs - clock.monotonic()))
  }
  if (sent.length === 0) return []
  // Read after the positions: a letter that was written anew is there when its group has passed it.
  const ids = new Set(sent.map(({ letter: { origin }, group }) => letterId(group, origin)))
  const letters = new Map((await readLetters(deps, { projectId, ids })).map((letter) => [letter.id, letter]))
  const late = new Set(waiting.map(({ letter }) => letter.id))
  return [...Map.groupBy(sent, ({ letter }) => letter)].map(([letter, copies]) => {
    const { id } = letter
    const again = failedSince(
      letter,
      copies.map(({ group }) => group),
      letters
    )
    if (again !== undefined) return { id, outcome: 'failed', detail: again.message }
    return { id, outcome: late.has(id) ? 'waiting' : 'landed' }
  })
}

async function notPassed(admin: Pick<Admin, 'groupOffsets'>, sent: readonly Sent[]): Promise<readonly Sent[]> {
  const waiting: Sent[] = []
  for (const [group, own] of Map.groupBy(sent, (each) => each.group)) {
    const committed = await admin.groupOffsets(group, redriveTopic(group))
    waiting.push(...own.filter(({ partition, offset }) => offset >= (committed.get(partition) ?? 0n)))
  }
  return waiting
}

async function dropAgain(
  deps: RedriveDeps,
  { projectId }: RedriveRequest,
  failed: ReadonlySet<string>
): Promise<number> {
  if (failed.size === 0) return 0
  const letters = await readLetters(deps, { projectId, ids: failed })
  await writeDecisions(deps.postgres, projectId, 'drop', letters)
  return letters.length
}

function countOutcomes(results: readonly RedriveResult[]): Record<RedriveOutcome, number> {
  const counts = { landed: 0, failed: 0, waiting: 0, recounted: 0, refused: 0, gone: 0 }
  for (const { outcome } of results) counts[outcome]++
  return counts
}
