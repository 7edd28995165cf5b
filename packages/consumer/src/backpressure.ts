// When a partition is paused for its buffer's sake. Pure.
import type { ConsumerSettings } from './definition.ts'
import type { LaneLoad } from './lane.ts'

/**
 * Whether a lane takes no more: full at its limits, and once `paused` until half of them is free; or not empty while
 * all lanes together are over their budget.
 */
export function isFull(
  load: LaneLoad,
  limits: Pick<ConsumerSettings, 'laneRows' | 'laneBytes'>,
  paused: boolean,
  overBudget: boolean
): boolean {
  if (overBudget && load.rows > 0) return true
  const share = Math.max(load.rows / limits.laneRows, load.bytes / limits.laneBytes)
  return paused ? share > 0.5 : share >= 1
}
