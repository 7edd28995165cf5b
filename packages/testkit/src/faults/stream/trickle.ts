// A steady trickle of events into every partition, and whether what is written now is applied.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import type { LiveWorld } from './live-world.ts'
import { makeEvent } from './make-events.ts'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

export interface TrickleOptions {
  readonly world: LiveWorld
  readonly partitions: number
  readonly signal: AbortSignal
}

const everyMs = 200

/** One event to each partition now and then, until the signal; answers how many. */
export async function trickle(
  { random }: StreamRig,
  project: StreamProject,
  { world, partitions, signal }: TrickleOptions
): Promise<number> {
  const { fromMs, toMs } = world
  let written = 0
  while (!signal.aborted) {
    const events = Array.from({ length: partitions }, (_, partition) => {
      const number = written++
      const { eventId, value } = makeEvent({
        eventId: `m-${String(number).padStart(7, '0')}`,
        eventType: random.pick(['page_view', 'purchase']),
        atMs: fromMs + random.below(toMs - fromMs),
        sessionId: `m-s${random.below(100)}`,
        userId: `u${random.below(50)}`,
        properties: { revenue: number }
      })
      return { eventId, value, partition, appendedAtMs: 0 }
    })
    await project.write(events)
    await systemClock.sleep(everyMs)
  }
  return written
}

/** Resolves when every partition has applied a record that was written after the call. */
export async function allMoved(rig: StreamRig, project: StreamProject, timeoutMs: number): Promise<void> {
  const ends = new Map((await rig.admin.ranges(project.topic)).map(({ partition, end }) => [partition, end]))
  await eventually(
    'every partition moves',
    async () => {
      const held = (await rig.live(project))?.partitions ?? []
      return [...ends].every(([partition, end]) => (held[partition]?.position ?? 0n) > end)
    },
    { timeoutMs, intervalMs: 50 }
  )
}
