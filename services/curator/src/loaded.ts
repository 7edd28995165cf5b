// Whether the warehouse has everything of a project up to a time of the log. Asked before a count is believed.
import { rawTopic, redriveTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'

/**
 * Resolves whether the group of the loaders has committed every record of the project appended before `atMs`, and every
 * letter that was sent to it once more before that.
 */
export type IsLoaded = (projectId: string, atMs: number) => Promise<boolean>

type LogAdmin = Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>

/** A project without topics has nothing to load. Throws PIPE_KAFKA_UNAVAILABLE. */
export function createIsLoaded(admin: LogAdmin, group: string): IsLoaded {
  return async function isLoaded(projectId, atMs) {
    const there = await admin.listTopics()
    const topics = [rawTopic(projectId), redriveTopic(group)].filter((topic) => there.includes(topic))
    const passed = await Promise.all(topics.map((topic) => hasPassed(admin, group, topic, atMs)))
    return !passed.includes(false)
  }
}

async function hasPassed(admin: LogAdmin, group: string, topic: string, atMs: number): Promise<boolean> {
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
