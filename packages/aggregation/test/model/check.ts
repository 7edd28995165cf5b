// The invariants. Safety holds in every world; liveness once faults are over and nothing more can happen.
import { partitionOf } from '../../src/state.ts'
import type { EpochState } from '../../src/state.ts'
import { actionsOf, viewAt } from './actions.ts'
import type { Action } from './actions.ts'
import { recount } from './model-fold.ts'
import type { Recount } from './model-fold.ts'
import type { LogRecord, Scenario, View } from './scenario.ts'
import { step } from './step.ts'
import { positionOf } from './world.ts'
import type { Ghost, World } from './world.ts'

/** What is wrong with `world`; empty when nothing is. */
export function check(scenario: Scenario, views: readonly View[], world: World): string {
  if (world.wrong !== '') return world.wrong
  for (const [number, epoch] of world.project.epochs) {
    const ghost = world.ghosts.get(number)
    if (ghost === undefined || epoch.torn !== undefined || fine.get(epoch) === ghost) continue
    const wrong = checkEpochState(scenario, views, world, epoch, ghost)
    if (wrong !== '') return `epoch ${number}: ${wrong}`
    fine.set(epoch, ghost)
  }
  return checkVisible(scenario, views, world)
}

/** States are values and logs only grow: what was checked once stays checked, for what was known of it then. */
const fine = new WeakMap<EpochState, Ghost>()

function checkEpochState(
  scenario: Scenario,
  views: readonly View[],
  world: World,
  epoch: EpochState,
  ghost: Ghost
): string {
  const logs = logsOf(views.slice(0, world.index + 1), ghost.generation)
  for (const [partition, log] of logs.entries()) {
    const position = positionOf(epoch, partition)
    if (position > log.length) return 'a position passes the end of the log'
    const { appendedAtMs } = partitionOf(epoch, partition)
    const start = ghost.start[partition] ?? 0
    const known = position > start && !ghost.holes.some(([p, , to]) => p === partition && to === position)
    if (known && appendedAtMs !== log[position - 1]?.appendedMs) return 'the fingerprint is not that of the log'
  }
  const held = recount(scenario, applied(logs, epoch, ghost))
  if (held.late !== epoch.counts.late) return 'late records are not those of the applied prefix'
  const lost = ghost.holes.reduce((sum, [, from, to]) => sum + to - from, 0)
  if (lost !== epoch.counts.expired) return 'expired offsets are not those of the holes'
  return checkWindows(scenario, views, epoch, ghost, held) || checkSessions(epoch, held)
}

function checkWindows(
  scenario: Scenario,
  views: readonly View[],
  epoch: EpochState,
  ghost: Ghost,
  held: Recount
): string {
  const final = finalOf(scenario, views, ghost.generation)
  const whole = ghost.holes.length === 0
  for (const [name, { startMs, closed, values }] of epoch.windows) {
    if (!name.startsWith('m:')) continue
    const { count, sum } = values.get('') ?? { count: 0, sum: 0n }
    const expected = held.windows.get(name)
    if (count !== (expected?.count ?? 0) || sum !== (expected?.sum ?? 0n))
      return 'a window is not the recount of the log'
    const complete = final.windows.get(name)
    const early = closed && startMs >= epoch.completeFromMs && (count !== complete?.count || sum !== complete.sum)
    if (whole && early) return 'a window closed before every on-time record was applied'
  }
  for (const name of held.windows.keys()) {
    const endMs = Number(name.split(':')[2]) + scenario.windowMs
    if (!epoch.windows.has(name) && endMs + scenario.windowKeepMs > ghost.removedAtMs) return 'a window is missing'
  }
  return ''
}

function checkSessions(epoch: EpochState, held: Recount): string {
  for (const [id, { events, firstMs, lastMs }] of held.sessions) {
    const session = epoch.sessions.get(id)
    if (session === undefined) return 'a session is missing'
    const equal = session.events === events && session.firstMs === firstMs && session.lastMs === lastMs
    if (!equal) return 'a session is not the recount of the log'
  }
  return ''
}

function checkVisible(scenario: Scenario, views: readonly View[], world: World): string {
  for (const [key, { epoch, count, sum, final }] of world.visible) {
    const ghost = world.ghosts.get(epoch)
    const row = world.rows.get(epoch)
    if (!key.startsWith('m:') || ghost === undefined || row === undefined) continue
    if (Number(key.split(':')[2]) < row.completeFromMs) return 'a window that was not seen whole was emitted'
    const expected = finalOf(scenario, views, ghost.generation).windows.get(key)
    const wrong = count !== expected?.count || sum !== expected.sum
    if (final && wrong && !hasHoles(world)) return 'a wrong value was emitted as final'
  }
  return ''
}

/** Faults are over: runs the rest, and every window and session must have become visible, final and right. */
export function checkSettled(scenario: Scenario, views: readonly View[], world: World, trace: Action[] = []): string {
  const over = { crash: 0, rollback: 0, loss: 0, build: 0, unseal: 0, tear: 0 }
  let at: World = { ...world, snapshot: undefined, left: over }
  for (let turn = 0; turn < maxTurns; turn++) {
    const actions = actionsOf(scenario, views, at, true)
    const [first] = actions
    if (first === undefined) return checkEnd(scenario, views, at)
    const rank = Math.min(...actions.map(rankOf))
    const urgent = actions.filter((action) => rankOf(action) === rank)
    const action = urgent[turn % urgent.length] ?? first
    trace.push(action)
    at = step(scenario, views, at, action)
    const wrong = check(scenario, views, at)
    if (wrong !== '') return wrong
  }
  return 'it never comes to rest'
}

function checkEnd(scenario: Scenario, views: readonly View[], world: World): string {
  const { generation } = viewAt(views, world)
  if (world.consumers.every(({ stopped }) => stopped) || hasHoles(world)) return ''
  const { windows, sessions } = finalOf(scenario, views, generation)
  const completeFromMs = world.rows.get(world.project.pointer)?.completeFromMs ?? 0
  for (const [name, { count, sum }] of windows) {
    if (Number(name.split(':')[2]) < completeFromMs) continue
    const shown = world.visible.get(name)
    if (shown?.final !== true || shown.count !== count || shown.sum !== sum) return 'a window never became final'
  }
  for (const [id, { events, firstMs, lastMs }] of sessions) {
    if (firstMs < completeFromMs) continue
    const shown = world.visible.get(`session:${id}`)
    const right = shown?.final === true && shown.count === events && shown.sum === BigInt(lastMs - firstMs)
    if (!right) return 'a session never became final'
  }
  return ''
}

const maxTurns = 1_500

const order = [
  ['emit', 'apply'],
  ['answer', 'read', 'position', 'init', 'resume'],
  ['decide', 'row-live', 'end-build', 'recheck', 'operator-seal', 'operator-row', 'operator-replace', 'operator-start'],
  ['fetch'],
  ['read-window', 'read-session'],
  ['close', 'count'],
  ['ask'],
  ['seal', 'flip', 'build'],
  ['insert-row'],
  ['remove'],
  ['next']
]

function rankOf({ name }: Action): number {
  const rank = order.findIndex((names) => names.includes(name))
  if (rank < 0) throw new RangeError(`no rank for ${name}`)
  return rank
}

function hasHoles({ ghosts }: World): boolean {
  return [...ghosts.values()].some(({ holes }) => holes.length > 0)
}

function* applied(logs: View['logs'], epoch: EpochState, { start, holes }: Ghost): Generator<LogRecord> {
  for (const [partition, log] of logs.entries()) {
    const end = positionOf(epoch, partition)
    for (let offset = start[partition] ?? 0; offset < end; offset++) {
      const record = log[offset]
      const lost = holes.some(([p, from, to]) => p === partition && offset >= from && offset < to)
      if (record !== undefined && !lost) yield record
    }
  }
}

/** The fullest logs of a generation in `views`. */
function logsOf(views: readonly View[], generation: number): View['logs'] {
  return views.findLast((view) => view.generation === generation)?.logs ?? []
}

const finals = new WeakMap<readonly View[], Map<number, Recount>>()

/** The oracle: the whole log of a generation counted once. */
function finalOf(scenario: Scenario, views: readonly View[], generation: number): Recount {
  const held = finals.get(views) ?? new Map<number, Recount>()
  finals.set(views, held)
  const known = held.get(generation) ?? recount(scenario, logsOf(views, generation).flat())
  held.set(generation, known)
  return known
}
