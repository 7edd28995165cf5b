// Writes dead letters and says which are stored. Nothing here gives up: what is not certainly stored is tried again by
// the loop, because the offset of the record may not move before its letter is safe.
import { toError } from '@millrace/kernel'
import type { ProduceOutcome, ProduceRecord } from '@millrace/kafka'
import type { LetterTarget } from './definition.ts'
import { toStub } from './dead-letter.ts'

/** Letters of one request at most, a single larger one apart; the topic takes twice that (topics.yaml). */
const maxRequestBytes = 1024 * 1024

/** A letter and the original topic of its record. */
export interface Addressed {
  readonly topic: string
  readonly letter: ProduceRecord
}

/** What became of one letter. `stubbed`: refused for its size, stored without key and value. */
export type LetterFate = { readonly kind: 'stored' | 'stubbed' } | { readonly kind: 'pending'; readonly error: Error }

/** One fate per letter, in order. Never throws. */
export async function sendLetters(target: LetterTarget, letters: readonly Addressed[]): Promise<readonly LetterFate[]> {
  const fates: LetterFate[] = letters.map(() => ({ kind: 'pending', error: new Error('not sent') }))
  const byTopic = new Map<string, number[]>()
  for (const [index, { topic }] of letters.entries()) {
    const indexes = byTopic.get(topic) ?? []
    indexes.push(index)
    byTopic.set(topic, indexes)
  }
  for (const [topic, indexes] of byTopic) {
    const own = indexes.flatMap((index) => letters[index]?.letter ?? [])
    const sent = await sendToTopic(target, topic, own)
    for (const [at, index] of indexes.entries()) {
      const fate = sent[at]
      if (fate !== undefined) fates[index] = fate
    }
  }
  return fates
}

async function sendToTopic(
  { producer, topicFor }: LetterTarget,
  topic: string,
  letters: readonly ProduceRecord[]
): Promise<readonly LetterFate[]> {
  const fates: LetterFate[] = []
  try {
    const to = topicFor(topic)
    const partitions = await producer.partitionCount(to)
    const placed = letters.map((letter) => ({ ...letter, partition: letter.partition % partitions }))
    for (const chunk of toChunks(placed)) fates.push(...(await sendChunk(producer, to, chunk)))
    return fates
  } catch (error) {
    // A missing topic or an unreachable broker: the letters wait, the record is not lost.
    return letters.map((_, index) => fates[index] ?? { kind: 'pending', error: toError(error) })
  }
}

async function sendChunk(
  producer: LetterTarget['producer'],
  to: string,
  chunk: readonly ProduceRecord[]
): Promise<readonly LetterFate[]> {
  const outcomes = await producer.produce(to, chunk)
  const fates: LetterFate[] = []
  for (const [index, letter] of chunk.entries()) {
    const outcome = outcomes[index]
    if (outcome?.kind !== 'refused') fates.push(toFate(outcome))
    // A broker refuses a request as a whole: only a letter that is refused alone is refused for its own sake.
    else if (chunk.length > 1) fates.push(...(await sendChunk(producer, to, [letter])))
    else fates.push(await sendStub(producer, to, letter, outcome))
  }
  return fates
}

/** Letters in order, in requests that a topic takes which takes each letter: the limit counts for a request, too. */
function toChunks(letters: readonly ProduceRecord[]): readonly (readonly ProduceRecord[])[] {
  const chunks: ProduceRecord[][] = []
  let bytes = Infinity
  for (const letter of letters) {
    const own = sizeOf(letter)
    if (bytes + own > maxRequestBytes) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)?.push(letter)
    bytes += own
  }
  return chunks
}

function sizeOf({ key, value, headers }: ProduceRecord): number {
  const texts = Object.entries(headers ?? {}).flat()
  return texts.reduce((sum, text) => sum + text.length, (key?.length ?? 0) + (value?.length ?? 0))
}

/**
 * A refused letter is stored without its bytes, which stay in the original topic for its retention under the
 * coordinates in the headers. Refused again, it waits: then a person must mend the topic or its rights.
 */
async function sendStub(
  producer: LetterTarget['producer'],
  to: string,
  letter: ProduceRecord,
  refusal: { readonly code: string; readonly message: string }
): Promise<LetterFate> {
  const reason = `${refusal.code}: ${refusal.message}`
  const [outcome] = await producer.produce(to, [toStub(letter, reason)])
  return outcome?.kind === 'acked' ? { kind: 'stubbed' } : { kind: 'pending', error: new Error(reason) }
}

function toFate(outcome: ProduceOutcome | undefined): LetterFate {
  if (outcome?.kind === 'acked') return { kind: 'stored' }
  const message = outcome?.message ?? 'no outcome'
  return { kind: 'pending', error: new Error(`dead letter not stored: ${message}`) }
}
