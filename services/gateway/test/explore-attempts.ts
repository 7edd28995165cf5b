// Every interleaving of three attempts to store one event, with each attempt dying anywhere, acks lost and late, leases
// ending at any time, marks lost twice and Redis away.
import type { AttemptScript, Question } from './attempt-script.ts'

/** The mark of the event: none, the lease of an attempt, or stored. */
type Mark = 'none' | 'stored' | number

interface Attempt {
  /** The replies it got so far. */
  readonly history: string
  readonly isOver: boolean
  /** Its record may still reach the log, after it was told that nobody knows. */
  readonly isOut: boolean
  /** It knows, too late for its answer, that a mark is due. */
  readonly owesMark: boolean
}

interface World {
  readonly mark: Mark
  readonly copies: number
  /** Somebody was told that the event is stored. */
  readonly isTold: boolean
  /** Marks that may still be lost. */
  readonly losses: number
  /** Leases that ended, marks that were lost, calls of Redis that failed; counted up to two. */
  readonly excuses: number
  readonly attempts: readonly Attempt[]
}

export interface Findings {
  readonly worlds: number
  /** 1 for a world in which somebody was told "stored" and the log is empty; the exploration ends there. */
  readonly lost: number
  readonly maxCopies: number
  /** Copies beyond the first that no excuse explains, at worst. */
  readonly unexplainedCopies: number
  /** Copies at worst while nothing had an excuse. */
  readonly copiesWithoutExcuse: number
}

/** The store: what a question does to the mark, for the reply `reply` to attempt `own`. Undefined: cannot be. */
export type Store = (mark: Mark, question: Question, reply: string, own: number) => Mark | undefined

/** The lease in Redis. */
export const leaseStore: Store = (mark, question, reply, own) => {
  switch (question) {
    case 'reserve': {
      const found = mark === 'stored' ? 'duplicate' : mark === 'none' ? 'new' : 'busy'
      if (reply === found) return reply === 'new' ? own : mark
      return undefined
    }
    case 'commit':
      return 'stored'
    case 'release':
      return mark === own ? 'none' : mark
    case 'publish':
      return mark
  }
}

/** All worlds that three attempts by `script` over `store` can come to, up to the first that loses the event. */
export function explore(script: AttemptScript, store: Store = leaseStore): Findings {
  const attempts = Array.from({ length: 3 }, () => ({ history: '', isOver: false, isOut: false, owesMark: false }))
  const open: World[] = [{ mark: 'none', copies: 0, isTold: false, losses: 2, excuses: 0, attempts }]
  const seen = new Set(open.map(nameOf))
  const found = { worlds: 0, lost: 0, maxCopies: 0, unexplainedCopies: 0, copiesWithoutExcuse: 0 }
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const { copies, excuses } = world
    found.worlds++
    if (copies === 0 && world.isTold) return { ...found, lost: 1 }
    found.maxCopies = Math.max(found.maxCopies, copies)
    found.unexplainedCopies = Math.max(found.unexplainedCopies, copies - 1 - excuses)
    if (excuses === 0) found.copiesWithoutExcuse = Math.max(found.copiesWithoutExcuse, copies)
    for (const each of next(world, script, store)) {
      const name = nameOf(each)
      if (seen.has(name)) continue
      seen.add(name)
      open.push(each)
    }
  }
  return found
}

/** The same for worlds that differ only in which attempt is which. */
function nameOf({ mark, copies, isTold, losses, excuses, attempts }: World): string {
  const names = attempts.map(({ history, isOver, isOut, owesMark }, at) => {
    return `${isOver ? 'over' : history} ${isOut} ${owesMark} ${mark === at}`
  })
  const held = typeof mark === 'number' ? 'leased' : mark
  return `${held} ${copies} ${isTold} ${losses} ${excuses}|${names.toSorted().join('|')}`
}

function* next(world: World, script: AttemptScript, store: Store): Generator<World> {
  const { mark, attempts } = world
  const excused = { excuses: Math.min(2, world.excuses + 1) }
  for (const [index, attempt] of attempts.entries()) {
    if (!attempt.isOver) yield* steps(world, index, script, store)
    // It dies; what it sent may still arrive.
    if (!attempt.isOver) yield change(world, index, { isOver: true })
    if (attempt.isOut) yield change(world, index, { isOut: false, owesMark: true }, { copies: world.copies + 1 })
    if (attempt.owesMark) yield change(world, index, { owesMark: false }, { mark: 'stored' })
  }
  if (typeof mark === 'number') yield { ...world, ...excused, mark: 'none' }
  if (mark !== 'none' && world.losses > 0) yield { ...world, ...excused, mark: 'none', losses: world.losses - 1 }
}

/** What becomes of the next question of an attempt. */
function* steps(world: World, index: number, script: AttemptScript, store: Store): Generator<World> {
  const { mark, copies } = world
  const excuses = Math.min(2, world.excuses + 1)
  const { history } = world.attempts[index]!
  const question = script.get(history)
  if (question === undefined) throw new Error(`nothing follows "${history}"`)
  if (question === 'stored' || question === 'retry') {
    return yield change(world, index, { isOver: true }, { isTold: world.isTold || question === 'stored' })
  }
  const after = (reply: string): Partial<Attempt> => ({ history: history === '' ? reply : `${history} ${reply}` })
  if (question === 'publish') {
    const acked = after('acked')
    // While Redis rests its mark is written in the background.
    const owesMark = script.get(acked.history ?? '') === 'stored'
    yield change(world, index, { ...acked, owesMark }, { copies: copies + 1 })
    yield change(world, index, { ...after('unknown'), isOut: true })
    yield change(world, index, after('unknown'))
    yield change(world, index, after('refused'))
    yield change(world, index, after('unavailable'))
    return
  }
  for (const reply of question === 'reserve' ? ['new', 'duplicate', 'busy'] : ['done']) {
    const changed = store(mark, question, reply, index)
    if (changed === undefined) continue
    yield change(world, index, after(reply), { mark: changed })
    // The call takes effect and its reply is lost.
    const late = { ...after('failed'), owesMark: question === 'commit' }
    yield change(world, index, late, { mark: changed, excuses })
  }
  yield change(world, index, { ...after('failed'), owesMark: question === 'commit' }, { excuses })
}

function change(world: World, index: number, attempt: Partial<Attempt>, rest: Partial<World> = {}): World {
  const attempts = world.attempts.map((each, at) => (at === index ? { ...each, ...attempt } : each))
  return { ...world, ...rest, attempts }
}
