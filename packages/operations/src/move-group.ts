// Moves a consumer group forward, never back, when nobody is in it.
import { AppError } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import type { Goal } from './warehouse-plan.ts'

/**
 * `moved`: it stands at the goal now. `ahead`: it stood there already. `running`: it has members, which keep their own
 * position. `untouched`: it was not tried.
 */
export type GroupMove = 'moved' | 'ahead' | 'running' | 'untouched'

/** Brings `group` to `goal` where it is behind. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function moveGroup(
  admin: Pick<Admin, 'groupOffsets' | 'setGroupOffsets'>,
  group: string,
  goal: Goal
): Promise<GroupMove> {
  let moved = false
  for (const [topic, ends] of goal) {
    const committed = await admin.groupOffsets(group, topic)
    const behind = [...ends].filter(([partition, end]) => end > (committed.get(partition) ?? 0n))
    if (behind.length === 0) continue
    try {
      await admin.setGroupOffsets(group, topic, new Map(behind))
      moved = true
    } catch (error) {
      // A member that joined meanwhile goes on where the group stood, and loads again what is loaded.
      if (error instanceof AppError && error.code === 'PIPE_CONFLICT') return 'running'
      throw error
    }
  }
  return moved ? 'moved' : 'ahead'
}
