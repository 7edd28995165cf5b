// Closed live windows against the log: an hour that is counted whole has as many events as the log has different ones on
// time. Those that were no events when they were counted, and are now, may be among them or not.
import type { WindowReader, WindowsRead } from '@millrace/aggregation/window-reader'
import { windowNames } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import type { Admin, PartitionRange } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { HourCount } from './reconcile-compare.ts'
import type { ReplayPart } from './replay-rows.ts'

export interface WindowsDeps {
  readonly reader: WindowReader
  readonly clock: Clock
  /** An event appended later than this after its own time counts in no live value. */
  readonly latenessMs: number
}

export interface WrongWindow {
  /** Start of the hour, ms. */
  readonly hourMs: number
  /** At most. */
  readonly expected: number
  readonly found: number
}

export interface WindowsCompared {
  /** Hours that are closed, whole, and covered by the range. */
  readonly compared: number
  readonly wrong: readonly WrongWindow[]
}

const hourMs = 3_600_000
/** Hours are held this long after they are closed. */
const heldHours = 26
/** What the clocks of gateways and brokers may differ. */
const skewMs = 60_000

export interface ComparedParts {
  readonly projectId: string
  readonly topic: string
  readonly parts: readonly ReplayPart[]
  /** What the log had when the parts were made, by partition. */
  readonly log: ReadonlyMap<number, PartitionRange>
  /** Append time of the oldest record that was read, by partition. */
  readonly firstMs: ReadonlyMap<number, number>
}

/** `expected`: different events on time by the start of their hour. Throws PIPE_REDIS_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE. */
export async function compareWindows(
  { reader, clock, latenessMs }: WindowsDeps,
  admin: Pick<Admin, 'offsetsAt'>,
  compared: ComparedParts,
  expected: ReadonlyMap<number, HourCount>
): Promise<WindowsCompared> {
  const toMs = clock.now()
  const fromMs = toMs - (heldHours + 2) * hourMs
  const names = windowNames('events', '1h', { fromMs, toMs })
  const read = await reader.read(compared.projectId, names, [totalDimension], { plain: true })
  const closed = [...read.windows.values()].filter((window) => window.closed)
  const hours = [
    ...closed.map(({ startMs, values }) => ({ startMs, found: values.get(totalDimension)?.count ?? 0 })),
    ...absentHours(read, expected.keys(), { fromMs, latenessMs }).map((startMs) => ({ startMs, found: 0 }))
  ]
  const wrong: WrongWindow[] = []
  let count = 0
  for (const { startMs, found } of hours) {
    if (startMs < read.completeFromMs) continue
    const isCovered =
      (await begins(admin, compared, startMs - skewMs)) && (await ends(admin, compared, startMs + hourMs + latenessMs))
    if (!isCovered) continue
    count++
    const { least, most } = expected.get(startMs) ?? { least: 0, most: 0 }
    if (found < least || found > most) wrong.push({ hourMs: startMs, expected: most, found })
  }
  return { compared: count, wrong }
}

/** Hours with events of the log that would be there, closed, if the live state had counted one: `events` counts always. */
function absentHours(
  { windows, clockMs }: WindowsRead,
  expected: Iterable<number>,
  { fromMs, latenessMs }: { readonly fromMs: number; readonly latenessMs: number }
): readonly number[] {
  const known = new Set([...windows.values()].map(({ startMs }) => startMs))
  return [...expected].filter((startMs) => {
    const endMs = startMs + hourMs
    const isHeld = startMs >= fromMs && endMs + latenessMs <= clockMs && clockMs < endMs + heldHours * hourMs
    return isHeld && !known.has(startMs)
  })
}

/**
 * Whether everything that was appended from `atMs` on is in the parts. An event is appended after its own time: what was
 * appended before the hour does not belong to it. Below its beginning the log tells no times; there the oldest record
 * that was read does.
 */
async function begins(
  admin: Pick<Admin, 'offsetsAt'>,
  { topic, parts, log, firstMs }: ComparedParts,
  atMs: number
): Promise<boolean> {
  const offsets = await admin.offsetsAt(topic, atMs)
  return parts.every(({ partition, from, to }) => {
    const start = log.get(partition)?.start ?? 0n
    if (from === 0n) return true
    if (from > start) return (offsets.get(partition) ?? 0n) >= from
    return from === to || (firstMs.get(partition) ?? Infinity) < atMs
  })
}

async function ends(admin: Pick<Admin, 'offsetsAt'>, { topic, parts }: ComparedParts, atMs: number): Promise<boolean> {
  const offsets = await admin.offsetsAt(topic, atMs)
  return parts.every(({ partition, to }) => (offsets.get(partition) ?? to) <= to)
}
