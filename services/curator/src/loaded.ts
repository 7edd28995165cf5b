// Whether the warehouse has everything of a project up to a time of the log. Asked before a count is believed.
import { rawTopic, redriveTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'

/**
 * Resolves whether the group of the loaders has committed every record of the project appended before `atMs`, and every
 * letter that was sent to it once more before that.
 */
export type IsLoaded = (projectId: string, atMs: number) => Promise<boolean>

type LogAdmin = Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>

/**
 * A project without topics has nothing to load. `onForgotten` hears once of letters that were sent once more and that the
 * log forgot before the loaders had them, how many. Throws PIPE_KAFKA_UNAVAILABLE.
 */
export function createIsLoaded(
  admin: LogAdmin,
  group: string,
  onForgotten: (letters: number) => void = () => undefined
): IsLoaded {
  const redrive = redriveTopic(group)
  const known = new Map<number, bigint>()
  const forget = (partition: number, position: bigint, start: bigint): void => {
    const before = known.get(partition) ?? position
    const from = before > position ? before : position
    if (start <= from) return
    known.set(partition, start)
    onForgotten(Number(start - from))
  }
  return async function isLoaded(projectId, atMs) {
    const there = await admin.listTopics()
    const topics = [rawTopic(projectId), redrive].filter((topic) => there.includes(topic))
    const passed = await Promise.all(
      topics.map((topic) => hasPassed(admin, { group, topic, atMs }, topic === redrive ? forget : undefined))
    )
    return !passed.includes(false)
  }
}

interface Asked {
  readonly group: string
  readonly topic: string
  readonly atMs: number
}

/**
 * With `forget` an empty log that begins behind the position is passed: it has no record any more that would move the
 * position.
 */
async function hasPassed(
  admin: LogAdmin,
  { group, topic, atMs }: Asked,
  forget?: (partition: number, position: bigint, start: bigint) => void
): Promise<boolean> {
  // Ends before positions: a record that comes in between is not asked for.
  const [ranges, firsts] = await Promise.all([admin.ranges(topic), admin.offsetsAt(topic, atMs)])
  const committed = await admin.groupOffsets(group, topic)
  return ranges.every(({ partition, start, end }) => {
    const wanted = firsts.get(partition) ?? end
    const position = committed.get(partition)
    if (position !== undefined && position < start) {
      // The log forgot records that the loaders never had.
      if (forget === undefined || start !== end) return false
      forget(partition, position, start)
      return true
    }
    return wanted <= start || (position ?? start) >= wanted
  })
}
