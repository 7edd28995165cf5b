import { describe, expect, it } from 'vitest'
import type { Commit } from '@millrace/kafka'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { assigned, openHeld, partitionAt } from '../test/held.ts'
import { aggregatorMetrics } from './metrics.ts'
import { watchProject } from './watch.ts'

async function open() {
  const world = openHeld([7n, 8n])
  await world.projects.startAt(assigned(0, 1))
  const rewound: Commit[][] = []
  let forgotten = 0
  const deps = {
    projects: world.projects,
    consumer: { rewind: (to: readonly Commit[]) => void rewound.push([...to]) },
    forget: () => void forgotten++,
    metrics: bindMetrics(aggregatorMetrics, createRegistry())
  }
  return { world, rewound, forgotten: () => forgotten, watch: () => watchProject(deps, world.live()) }
}

describe('the watch', () => {
  it('does nothing while Redis stands where this process does', async () => {
    const { rewound, forgotten, watch } = await open()
    await watch()
    expect([rewound, forgotten()]).toEqual([[], 0])
  })

  it('makes a partition without events read what Redis lost', async () => {
    const { world, rewound, forgotten, watch } = await open()
    world.state = { ...world.state, partitions: [partitionAt(7n), partitionAt(2n)] }
    await watch()
    expect(rewound).toEqual([[{ topic: 'events.p', partition: 1, offset: 2n }]])
    expect(forgotten()).toBe(1)
    await watch()
    expect(rewound).toHaveLength(1)
  })

  it('forgets what it counted lately when the epoch is another one', async () => {
    const { world, forgotten, watch } = await open()
    world.state = { ...world.state, epoch: 2 }
    await watch()
    expect([world.live().epoch, forgotten()]).toEqual([2, 1])
  })

  it('moves nothing while the project is halted', async () => {
    const { world, rewound, watch } = await open()
    world.state = { ...world.state, torn: 'x', partitions: [partitionAt(1n)] }
    await watch()
    expect([world.live().halted, rewound]).toEqual(['torn', []])
    world.state = { ...world.state, torn: undefined, epoch: 2, partitions: [partitionAt(3n), partitionAt(4n)] }
    await watch()
    expect(rewound[0]?.map(({ offset }) => offset)).toEqual([3n, 4n])
  })
})
