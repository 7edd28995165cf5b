// The topics a consumer reads: a family picked by name from what exists, asked again at every refresh of the group.
import type { Admin } from '@millrace/kafka'
import type { TopicSet } from './definition.ts'

/**
 * All existing topics that `belongs` accepts, sorted, and the `redrive` topic when it exists. Listing throws
 * PIPE_KAFKA_UNAVAILABLE when the cluster does not answer.
 */
export function topicFamily(options: {
  readonly admin: Pick<Admin, 'listTopics'>
  readonly belongs: (topic: string) => boolean
  readonly redrive?: string
}): TopicSet {
  const { admin, belongs, redrive } = options
  const list = async (): Promise<readonly string[]> =>
    (await admin.listTopics()).filter((topic) => topic === redrive || belongs(topic)).sort()
  return redrive === undefined ? { list } : { list, redrive }
}

/** A fixed list of topics. */
export function fixedTopics(topics: readonly string[], redrive?: string): TopicSet {
  const all = redrive === undefined ? [...topics] : [...topics, redrive]
  const list = (): Promise<readonly string[]> => Promise.resolve(all)
  return redrive === undefined ? { list } : { list, redrive }
}
