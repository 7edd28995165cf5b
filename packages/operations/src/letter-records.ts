// The records of chosen dead letters, read in chunks that fit into memory.
import { dlqTopic } from '@millrace/contracts'
import { partitionKey } from '@millrace/kafka'
import type { KafkaRecord } from '@millrace/kafka'
import type { FoundLetter } from './letters.ts'
import { readLog } from './read-log.ts'
import type { ReadLogDeps } from './read-log.ts'

export interface LetterRecord {
  readonly letter: FoundLetter
  readonly record: KafkaRecord
}

const chunkBytes = 64 * 1024 ** 2

/**
 * Calls `onChunk` with the records of `letters` of one project, each once, partition by partition in the order of their
 * offsets; it waits for `onChunk`, which may take its time: nothing is being read meanwhile. Letters that retention took
 * are left out. Throws PIPE_KAFKA_UNAVAILABLE, PIPE_DEADLINE, and what `onChunk` throws.
 */
export async function readLetterRecords(
  deps: ReadLogDeps,
  letters: readonly FoundLetter[],
  onChunk: (records: readonly LetterRecord[]) => Promise<void>
): Promise<void> {
  const byPartition = Map.groupBy(letters, ({ at }) => at.partition)
  for (const [partition, own] of byPartition) {
    const topic = dlqTopic(own[0]?.projectId ?? '')
    const wanted = new Map(own.map((letter) => [letter.at.offset, letter]))
    const end = own.reduce((last, { at }) => (at.offset >= last ? at.offset + 1n : last), 0n)
    while (wanted.size > 0) {
      const from = [...wanted.keys()].reduce((first, offset) => (offset < first ? offset : first))
      const part = { topic, partition, from, to: end }
      const chunk = await readChunk(deps, part, wanted)
      if (chunk.length === 0) break
      await onChunk(chunk)
    }
  }
}

class ChunkFull extends Error {}

/** As many of the wanted records as fit, which are taken out of `wanted`. */
async function readChunk(
  deps: ReadLogDeps,
  part: Parameters<typeof readLog>[1][number],
  wanted: Map<bigint, FoundLetter>
): Promise<readonly LetterRecord[]> {
  const chunk: LetterRecord[] = []
  let bytes = 0
  try {
    await readLog(deps, [part], (records) => {
      for (const record of records) {
        const letter = wanted.get(record.offset)
        if (letter === undefined) continue
        wanted.delete(record.offset)
        chunk.push({ letter, record })
        bytes += record.value?.byteLength ?? 0
        if (bytes >= chunkBytes) throw new ChunkFull(partitionKey(part))
      }
    })
  } catch (error) {
    if (!(error instanceof ChunkFull)) throw error
  }
  return chunk
}
