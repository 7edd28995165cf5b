// Closed live windows against the log: an hour that is counted whole has as many events as the log has different ones on
// time.
import type { WindowReader } from '@millrace/aggregation/window-reader'
import { windowNames } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import type { Admin } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
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

/** `expected`: different events on time by the start of their hour. Throws PIPE_REDIS_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE. */
export async function compareWindows(
  { reader, clock, latenessMs }: WindowsDeps,
  admin: Pick<Admin, 'offsetsAt'>,
  {
    projectId,
    topic,
    parts
  }: { readonly projectId: string; readonly topic: string; readonly parts: readonly ReplayPart[] },
  expected: ReadonlyMap<number, number>
): Promise<WindowsCompared> {
  const toMs = clock.now()
  const names = windowNames('events', '1h', { fromMs: toMs - (heldHours + 2) * hourMs, toMs })
  const { windows, completeFromMs } = await reader.read(projectId, names, [totalDimension], { plain: true })
  const wrong: WrongWindow[] = []
  let compared = 0
  for (const { startMs, closed, values } of windows.values()) {
    if (!closed || startMs < completeFromMs) continue
    const isCovered =
      (await begins(admin, topic, parts, startMs - skewMs)) &&
      (await ends(admin, topic, parts, startMs + hourMs + latenessMs))
    if (!isCovered) continue
    compared++
    const found = values.get(totalDimension)?.count ?? 0
    const want = expected.get(startMs) ?? 0
    if (found !== want) wrong.push({ hourMs: startMs, expected: want, found })
  }
  return { compared, wrong }
}

/** An event is appended after its own time: what was appended before the hour does not belong to it. */
async function begins(
  admin: Pick<Admin, 'offsetsAt'>,
  topic: string,
  parts: readonly ReplayPart[],
  atMs: number
): Promise<boolean> {
  const offsets = await admin.offsetsAt(topic, atMs)
  return parts.every(({ partition, from }) => from === 0n || (offsets.get(partition) ?? 0n) >= from)
}

async function ends(
  admin: Pick<Admin, 'offsetsAt'>,
  topic: string,
  parts: readonly ReplayPart[],
  atMs: number
): Promise<boolean> {
  const offsets = await admin.offsetsAt(topic, atMs)
  return parts.every(({ partition, to }) => (offsets.get(partition) ?? to) <= to)
}
