// Every interleaving of three attempts to store one event, with each attempt dying anywhere, acks lost, leases ending at
// any time, marks lost twice and Redis away: nobody is ever told "stored" of an event that is not in the log.
import { describe, expect, it } from 'vitest'

/** The mark of the event: none, the lease of an attempt, or committed. */
type Mark = 'none' | 'committed' | number

/**
 * Where an attempt is. `reserve` > `produce` > (`commit` | `release`) > `answer`, and `over`. `told`: what it answered.
 * `retry` stands for every answer that makes the client repeat.
 */
interface Attempt {
  readonly at: 'reserve' | 'produce' | 'commit' | 'release' | 'over'
  readonly told: 'nothing' | 'stored' | 'retry'
}

interface World {
  readonly mark: Mark
  readonly copies: number
  readonly attempts: readonly Attempt[]
  /** Marks that may still be lost. */
  readonly losses: number
  /** Leases that ended, marks that were lost or not set, reservations that went unanswered. */
  readonly excuses: number
}

type Protocol = (world: World, index: number) => readonly World[]

const over = (told: Attempt['told']): Attempt => ({ at: 'over', told })
const toldStored = over('stored')
const toldRetry = over('retry')
const crashed = over('nothing')

function move(world: World, index: number, attempt: Attempt, change: Partial<World> = {}): World {
  return { ...world, ...change, attempts: world.attempts.map((each, at) => (at === index ? attempt : each)) }
}

/** The log takes the event or not, and the attempt hears of it or not; `refused` is said only of what was not taken. */
function produced(world: World, index: number, acked: Attempt, refused: Attempt): readonly World[] {
  const stored = { copies: world.copies + 1 }
  return [
    move(world, index, acked, stored),
    move(world, index, toldRetry, stored),
    move(world, index, toldRetry),
    move(world, index, refused)
  ]
}

/** Reserve, produce, commit after the ack whoever holds the lease, release one's own after a refusal. */
const lease: Protocol = (world, index) => {
  const { mark } = world
  const unchecked = { excuses: world.excuses + 1 }
  switch (world.attempts[index]?.at) {
    case 'reserve': {
      const away = move(world, index, { at: 'produce', told: 'nothing' }, unchecked)
      if (mark === 'committed') return [move(world, index, toldStored), away]
      if (mark !== 'none') return [move(world, index, toldRetry), away]
      // A reservation may take effect although its reply was lost.
      const late = move(world, index, { at: 'produce', told: 'nothing' }, { ...unchecked, mark: index })
      return [move(world, index, { at: 'produce', told: 'nothing' }, { mark: index }), away, late]
    }
    case 'produce':
      return produced(world, index, { at: 'commit', told: 'nothing' }, { at: 'release', told: 'nothing' })
    case 'commit':
      return [move(world, index, toldStored, { mark: 'committed' }), move(world, index, toldStored, unchecked)]
    case 'release':
      return [move(world, index, toldRetry, mark === index ? { mark: 'none' } : {}), move(world, index, toldRetry)]
    case 'over':
    case undefined:
      return []
  }
}

/** The tempting mistake: the mark is set before the event is in the log, and never taken back. */
const markFirst: Protocol = (world, index) => {
  const at = world.attempts[index]?.at
  if (at === 'produce') return produced(world, index, toldStored, toldRetry)
  if (at !== 'reserve') return []
  if (world.mark === 'committed') return [move(world, index, toldStored)]
  return [move(world, index, { at: 'produce', told: 'nothing' }, { mark: 'committed' })]
}

/** What can happen next in `world`: a step of an attempt, its death, the end of a lease, the loss of a mark. */
function next(world: World, protocol: Protocol): readonly World[] {
  const worlds: World[] = []
  for (const [index, attempt] of world.attempts.entries()) {
    if (attempt.at === 'over') continue
    worlds.push(...protocol(world, index), move(world, index, crashed))
  }
  if (typeof world.mark === 'number') worlds.push({ ...world, mark: 'none', excuses: world.excuses + 1 })
  if (world.mark !== 'none' && world.losses > 0) {
    worlds.push({ ...world, mark: 'none', losses: world.losses - 1, excuses: world.excuses + 1 })
  }
  return worlds
}

interface Findings {
  readonly worlds: number
  /** Worlds in which somebody was told "stored" and the log is empty. */
  readonly lost: number
  /** Copies beyond the first that no excuse explains, at worst. */
  readonly unexplainedCopies: number
}

function explore(protocol: Protocol): Findings {
  const attempts = Array.from({ length: 3 }, (): Attempt => ({ at: 'reserve', told: 'nothing' }))
  const open: World[] = [{ mark: 'none', copies: 0, attempts, losses: 2, excuses: 0 }]
  const seen = new Set(open.map((world) => JSON.stringify(world)))
  const findings = { worlds: 0, lost: 0, unexplainedCopies: 0 }
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    findings.worlds++
    if (world.copies === 0 && world.attempts.some(({ told }) => told === 'stored')) findings.lost++
    findings.unexplainedCopies = Math.max(findings.unexplainedCopies, world.copies - 1 - world.excuses)
    for (const each of next(world, protocol)) {
      const key = JSON.stringify(each)
      if (seen.has(key)) continue
      seen.add(key)
      open.push(each)
    }
  }
  return findings
}

describe('the lease protocol', () => {
  it('never tells anybody "stored" of an event that is not in the log', () => {
    const { worlds, lost } = explore(lease)
    expect(lost).toBe(0)
    expect(worlds).toBeGreaterThan(2_000)
  })

  it('makes one copy, and one more at most for each lease that ended, mark that was lost or unanswered call', () => {
    expect(explore(lease).unexplainedCopies).toBe(0)
  })
})

describe('the model', () => {
  it('finds the copies of attempts that do not look for a lease', () => {
    const blind: Protocol = (world, index) =>
      world.attempts[index]?.at === 'reserve'
        ? [move(world, index, { at: 'produce', told: 'nothing' })]
        : lease(world, index)
    expect(explore(blind).unexplainedCopies).toBe(2)
  })

  it('finds the losses of a mark that is set before the ack', () => {
    expect(explore(markFirst).lost).toBeGreaterThan(0)
  })
})
