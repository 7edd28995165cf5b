// When the first and the last record of a part of the log were appended.
import type { ReadLogDeps } from './read-log.ts'
import { readLog } from './read-log.ts'
import type { ReplayPart } from './replay-rows.ts'

export interface PartTimes {
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
}

/** By partition; reads one record at each end. Throws as `readLog` does. */
export async function appendTimes(
  log: ReadLogDeps,
  topic: string,
  parts: readonly ReplayPart[]
): Promise<ReadonlyMap<number, PartTimes>> {
  const wanted = parts.filter(({ from, to }) => to > from)
  const [first, last] = await Promise.all([
    timesAt(log, topic, new Map(wanted.map(({ partition, from }) => [partition, from]))),
    timesAt(log, topic, new Map(wanted.map(({ partition, to }) => [partition, to - 1n])))
  ])
  return new Map(
    wanted.map(({ partition }) => [partition, { fromMs: first.get(partition), toMs: last.get(partition) }])
  )
}

async function timesAt(
  log: ReadLogDeps,
  topic: string,
  offsets: ReadonlyMap<number, bigint>
): Promise<ReadonlyMap<number, number>> {
  const times = new Map<number, number>()
  const parts = [...offsets].map(([partition, from]) => ({ topic, partition, from, to: from + 1n }))
  await readLog(log, parts, (records) => {
    for (const { partition, appendedAtMs } of records) times.set(partition, appendedAtMs)
  })
  return times
}
