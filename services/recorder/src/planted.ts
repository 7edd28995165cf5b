// Bugs that can be switched on to see that the fault suites notice them; inert outside of tests.
import { AppError } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { ConsumerClient, Producer } from '@millrace/kafka'

/** Rows are blamed for a PostgreSQL that is away. */
const deadOnOutage = 'recorder-dead-on-outage'
/** A letter that is written again is another letter. */
const newLetters = 'recorder-letters-by-attempt'
/** Who was out of the group goes on where it stood, whatever the group holds by now. */
const keepsItsPlace = 'recorder-keeps-its-place'

/** `record`, with the bug if it is switched on. */
export function withPlantedOutage<Args extends readonly unknown[], Result>(
  record: (...args: Args) => Promise<Result>,
  planted: ReadonlySet<string>
): (...args: Args) => Promise<Result> {
  if (!planted.has(deadOnOutage)) return record
  return async (...args) => {
    try {
      return await record(...args)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_POSTGRES_UNAVAILABLE') throw error
      throw new AppError('PIPE_POSTGRES_REFUSED', error.message, { cause: error })
    }
  }
}

type LetterProducer = Pick<Producer, 'produce' | 'partitionCount'>

/** The producer of letters, with the bug if it is switched on. */
export function withPlantedLetters(producer: LetterProducer, planted: ReadonlySet<string>): LetterProducer {
  if (!planted.has(newLetters)) return producer
  return {
    partitionCount: (topic) => producer.partitionCount(topic),
    produce: (topic, letters) =>
      producer.produce(
        topic,
        letters.map((letter) => ({
          ...letter,
          headers: { ...letter.headers, 'dlq.id': `${String(letter.headers?.['dlq.id'])}:${process.pid}` }
        }))
      )
  }
}

/** The client of the group, with the bug if it is switched on. */
export function withPlantedPlaces(client: ConsumerClient, planted: ReadonlySet<string>): ConsumerClient {
  if (!planted.has(keepsItsPlace)) return client
  const places = new Map<string, bigint>()
  return {
    async join(options, handlers) {
      const member = await client.join(options, {
        ...handlers,
        async onAssigned(assignment) {
          const kept = new Map(await handlers.onAssigned(assignment))
          for (const key of assignment.map(partitionKey)) {
            const place = places.get(key)
            if (place !== undefined) kept.set(key, place)
          }
          return kept
        }
      })
      return {
        pause: (partitions) => member.pause(partitions),
        resume: (partitions) => member.resume(partitions),
        seek: (partition, offset) => member.seek(partition, offset),
        async commit(commits) {
          for (const commit of commits) places.set(partitionKey(commit), commit.offset)
          return await member.commit(commits)
        },
        stop: () => member.stop()
      }
    }
  }
}
