// Projects as the aggregator holds them, on a state and a log that the test sets.
import type { PartitionState } from '@millrace/aggregation/state'
import type { LogVerdict } from '@millrace/aggregation/log-identity'
import { createSilentLogger } from '@millrace/observability'
import { createLiveProjects } from '../src/live-projects.ts'
import type { HaltReason, InForce, LiveProject, LiveProjects } from '../src/live-projects.ts'

export interface HeldWorld {
  readonly projects: LiveProjects
  /** What Redis and the log say; the test changes it. */
  state: InForce
  verdict: LogVerdict
  end: bigint
  /** Runs before each look at the state returns. */
  whileLooking: () => void
  halted: ReadonlyMap<HaltReason, number>
  /** The one project of the world. */
  live(): LiveProject
}

export const partitionAt = (position: bigint): PartitionState => ({ position, appendedAtMs: 5, clockMs: 5 })

/** A world with one project `p`; nothing is assigned yet. */
export function openHeld(positions: readonly bigint[]): HeldWorld {
  const world: HeldWorld = {
    projects: createLiveProjects({
      inForce: async () => {
        const { state } = world
        await Promise.resolve()
        world.whileLooking()
        return state
      },
      checkLog: async (topic, states) =>
        new Map(
          [...states.keys()].map((partition) => [
            partition,
            { verdict: world.verdict, range: { topic, partition, start: 0n, end: world.end } }
          ])
        ),
      log: createSilentLogger(),
      onHalted: (counts) => {
        world.halted = counts
      }
    }),
    state: { epoch: 1, partitions: positions.map(partitionAt), torn: undefined },
    verdict: { kind: 'same' },
    end: 1_000n,
    whileLooking: () => undefined,
    halted: new Map(),
    live: () => world.projects.of('events.p')
  }
  return world
}

/** The partitions of the project. */
export const assigned = (...partitions: readonly number[]) =>
  partitions.map((partition) => ({ topic: 'events.p', partition }))
