// Leaders of a topic's partitions, remembered. Asked topic by topic: one topic without a leader anywhere in the cluster
// must not hide the others. What is known is given at once and renewed behind: a frozen broker must not stop the others.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { within } from './bounded.ts'

export interface LeaderSource {
  fetchTopicMetadata(options: {
    topics: string[]
  }): Promise<{ topics: readonly { name: string; partitions: readonly { partitionId: number; leader: number }[] }[] }>
}

export interface TopicLeaders {
  /**
   * Leader by partition. What is older than `maxAgeMs` (default 10,000) is given all the same and asked for anew behind;
   * only an unknown topic and `maxAgeMs` 0 wait for an answer, up to 5 s. Throws the client's error, or
   * PIPE_KAFKA_UNAVAILABLE.
   */
  leaders(topic: string, maxAgeMs?: number): Promise<ReadonlyMap<number, number>>
}

type Leaders = ReadonlyMap<number, number>

interface Topic {
  known: Leaders | undefined
  atMs: number
  asking: Promise<Leaders> | undefined
}

const answerWithinMs = 5_000
/** Another broker is asked when one has been silent for this long: the client picks one at random each time. */
const askAgainAfterMs = 1_000

/** Creates the cache over an admin client of the library. */
export function createTopicLeaders(source: () => Promise<LeaderSource>, clock: Clock): TopicLeaders {
  const topics = new Map<string, Topic>()

  const ask = (name: string, topic: Topic): Promise<Leaders> => {
    topic.asking ??= fetchFromAny(source, name, clock)
      .then(
        (leaders) => {
          topic.known = leaders
          topic.atMs = clock.monotonic()
          return leaders
        },
        (error: unknown) => {
          if (error instanceof AppError && error.code === 'PIPE_TOPIC_MISSING') topics.delete(name)
          throw error
        }
      )
      .finally(() => {
        topic.asking = undefined
      })
    return topic.asking
  }

  return {
    async leaders(name, maxAgeMs = 10_000) {
      const topic = topics.get(name) ?? { known: undefined, atMs: 0, asking: undefined }
      topics.set(name, topic)
      if (topic.known === undefined || maxAgeMs === 0) return await ask(name, topic)
      // A failure keeps what is known: it is a hint, and the next caller asks again.
      if (clock.monotonic() - topic.atMs >= maxAgeMs) ask(name, topic).catch(() => undefined)
      return topic.known
    }
  }
}

/** The first answer of a question that is repeated every second while it is not answered. */
async function fetchFromAny(source: () => Promise<LeaderSource>, topic: string, clock: Clock): Promise<Leaders> {
  const { promise, resolve, reject } = Promise.withResolvers<Leaders>()
  let next: Disposable | undefined
  const question = (): void => {
    next = clock.timer(askAgainAfterMs, question)
    source()
      .then((admin) => fetchLeaders(admin, topic))
      .then(resolve, reject)
  }
  question()
  try {
    const leaders = await within(promise, answerWithinMs, clock)
    if (leaders === undefined) throw new AppError('PIPE_KAFKA_UNAVAILABLE', `nobody named the leaders of ${topic}`)
    return leaders
  } finally {
    next?.[Symbol.dispose]()
  }
}

async function fetchLeaders(admin: LeaderSource, topic: string): Promise<Leaders> {
  const { topics } = await guardNull(admin.fetchTopicMetadata({ topics: [topic] }))
  const partitions = topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitions.length === 0) throw new AppError('PIPE_TOPIC_MISSING', `topic ${topic} does not exist`)
  return new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]))
}

/**
 * The library answers null inside when no broker could be asked, or when metadata were renewed in the middle of a request
 * for offsets, and then trips over it with a TypeError.
 */
export async function guardNull<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'no broker answered, or metadata changed in between', { cause: error })
  }
}
