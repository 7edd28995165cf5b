import { describe, expect, it } from 'vitest'
import { assigned, openHeld, partitionAt } from '../test/held.ts'

describe('an assignment', () => {
  it('starts at the positions of the live epoch, and at 0 where none is known', async () => {
    const world = openHeld([7n, 9n])
    expect(await world.projects.startAt(assigned(1, 2))).toEqual(
      new Map([
        ['events.p:1', 9n],
        ['events.p:2', 0n]
      ])
    )
    expect(world.live()).toMatchObject({ project: 'p', epoch: 1, halted: undefined })
  })

  it('forgets what was held before it', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    await world.projects.startAt([])
    expect(() => world.live()).toThrow('not held')
  })

  it('halts on a torn epoch, and says so', async () => {
    const world = openHeld([7n])
    world.state = { ...world.state, torn: '0-5 call' }
    expect(await world.projects.startAt(assigned(0))).toEqual(new Map([['events.p:0', 7n]]))
    expect(world.live().halted).toBe('torn')
    expect(world.halted.get('torn')).toBe(1)
  })

  it('waits at the end of a log that is not its own', async () => {
    const world = openHeld([70n])
    world.verdict = { kind: 'other' }
    world.end = 3n
    expect(await world.projects.startAt(assigned(0))).toEqual(new Map([['events.p:0', 3n]]))
    expect(world.live().halted).toBe('other-log')
  })

  it('goes on where retention took events, from the position that is stored', async () => {
    const world = openHeld([7n])
    world.verdict = { kind: 'expired', from: 20n, lost: 13n }
    expect(await world.projects.startAt(assigned(0))).toEqual(new Map([['events.p:0', 7n]]))
    expect(world.live().halted).toBeUndefined()
  })
})

describe('another look', () => {
  it('tells of nothing when all is as it was, without asking the log', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    world.verdict = { kind: 'other' }
    expect(await world.projects.reload(world.live())).toEqual([])
    expect(world.live().halted).toBeUndefined()
  })

  it('names partitions whose position went back', async () => {
    const world = openHeld([7n, 8n])
    await world.projects.startAt(assigned(0, 1))
    world.state = { ...world.state, partitions: [partitionAt(7n), partitionAt(5n)] }
    expect(await world.projects.reload(world.live())).toEqual([1])
    expect(world.live().owned.get(1)?.position).toBe(5n)
  })

  it('passes over a partition with a batch on its way, unless that batch asks', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    const owned = world.live().owned.get(0)
    if (owned !== undefined) owned.busy = true
    world.state = { ...world.state, partitions: [partitionAt(5n)] }
    expect(await world.projects.reload(world.live())).toEqual([])
    expect(owned?.position).toBe(7n)
    expect(await world.projects.reload(world.live(), 0)).toEqual([0])
    expect(owned?.position).toBe(5n)
  })

  it('of one batch leaves the other partitions to the next look', async () => {
    const world = openHeld([7n, 8n])
    await world.projects.startAt(assigned(0, 1))
    world.state = { ...world.state, partitions: [partitionAt(5n), partitionAt(6n)] }
    expect(await world.projects.reload(world.live(), 0)).toEqual([0])
    expect(await world.projects.reload(world.live())).toEqual([1])
  })

  it('leaves the partitions of a halted project where they are until it goes on', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    world.state = { ...world.state, torn: 'x', partitions: [partitionAt(2n)] }
    expect(await world.projects.reload(world.live())).toEqual([])
    world.state = { ...world.state, torn: undefined, epoch: 2 }
    expect(await world.projects.reload(world.live())).toEqual([0])
    expect(world.live().owned.get(0)?.position).toBe(2n)
  })

  it('passes over a partition that moved while it looked', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    const owned = world.live().owned.get(0)
    if (owned === undefined) throw new Error('not held')
    world.whileLooking = () => {
      owned.position = 9n
      owned.moves += 2
    }
    expect(await world.projects.reload(world.live())).toEqual([])
    expect(owned.position).toBe(9n)
  })

  it('follows the pointer to another epoch, and goes on where it was halted', async () => {
    const world = openHeld([7n])
    await world.projects.startAt(assigned(0))
    world.projects.halt(world.live(), 'wrong-type', 'dirty')
    await world.projects.reload(world.live())
    expect(world.halted.get('wrong-type')).toBe(1)
    world.state = { ...world.state, epoch: 2, partitions: [partitionAt(6n)] }
    expect(await world.projects.reload(world.live())).toEqual([0])
    expect(world.live()).toMatchObject({ epoch: 2, halted: undefined })
    expect(world.halted.get('wrong-type')).toBe(0)
  })
})
