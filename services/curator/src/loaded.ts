// Whether the warehouse has everything of a project up to a time of the log. Asked before a count is believed.
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'

/** Resolves whether the group of the loaders has committed every record of the project appended before `atMs`. */
export type IsLoaded = (projectId: string, atMs: number) => Promise<boolean>

/** A project without topics has nothing to load. Throws PIPE_KAFKA_UNAVAILABLE. */
export function createIsLoaded(
  admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>,
  group: string
): IsLoaded {
  return async function isLoaded(projectId, atMs) {
    const topic = rawTopic(projectId)
    if (!(await admin.listTopics()).includes(topic)) return true
    // Ends before positions: a record that comes in between is not asked for.
    const [ranges, firsts] = await Promise.all([admin.ranges(topic), admin.offsetsAt(topic, atMs)])
    const committed = await admin.groupOffsets(group, topic)
    return ranges.every(({ partition, start, end }) => {
      const wanted = firsts.get(partition) ?? end
      const position = committed.get(partition)
      // The log forgot records that the loaders never had.
      if (position !== undefined && position < start) return false
      return wanted <= start || (position ?? start) >= wanted
    })
  }
}
