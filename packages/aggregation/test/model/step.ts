// What an action does to a world. The consumers follow the rules that the service has to follow.
import type { ApplyReply } from '../../src/apply.ts'
import type { EpochRow } from '../../src/epochs.ts'
import { startAfterLoss } from '../../src/start-after-loss.ts'
import { emptyProject, partitionOf, withEpoch } from '../../src/state.ts'
import { theBuilder, viewAt } from './actions.ts'
import type { Action } from './actions.ts'
import { emptyCall, foldRange } from './model-fold.ts'
import type { Scenario, View } from './scenario.ts'
import { copyWorld, idleConsumer, keyOfConsumer, positionOf } from './world.ts'
import type { Builder, Consumer, Emission, Ghost, Lane, World } from './world.ts'

interface Context {
  readonly scenario: Scenario
  readonly views: readonly View[]
  readonly view: View
  readonly world: World
  readonly action: Action
}

/** The world after `action`. */
export function step(scenario: Scenario, views: readonly View[], before: World, action: Action): World {
  const world = copyWorld(before)
  const act = acts[action.name]
  if (act === undefined) throw new RangeError(`no action ${action.name}`)
  act({ scenario, views, view: viewAt(views, world), world, action })
  if (action.name !== 'rollback' && movedBack(before, world)) world.wrong = 'a position moved back inside an epoch'
  if (world.consumers.length > 1) {
    world.consumers.sort((a, b) => (keyOfConsumer(a) < keyOfConsumer(b) ? -1 : 1))
  }
  return world
}

/** A position or a clock of an epoch may only fall when Redis itself falls back. */
function movedBack(before: World, after: World): boolean {
  for (const [number, epoch] of after.project.epochs) {
    const old = before.project.epochs.get(number)
    if (old === undefined || old === epoch) continue
    for (const [partition, was] of old.partitions.entries()) {
      const now = partitionOf(epoch, partition)
      if (now.position < was.position || now.clockMs < was.clockMs) return true
    }
  }
  return false
}

const acts: Readonly<Record<string, (context: Context) => void>> = {
  next,
  'operator-seal': ({ scenario, world }) => void (world.project = scenario.operations.seal(world.project).project),
  'operator-row': (context) => void newEpochRow(context, freshRow(context, 1), context.view.generation),
  'operator-replace': ({ scenario, world }) => {
    const number = Math.max(...world.rows.keys())
    const row = rowOf(world, number)
    world.project = scenario.operations.replaceEpoch(world.project, number, row).project
  },
  'operator-start': (context) => {
    const { scenario, world, view } = context
    const number = newEpochRow(context, freshRow(context, 1), view.generation + 1)
    world.project = scenario.operations.initEpoch(world.project, number, rowOf(world, number)).project
  },
  read: ({ world, action, scenario, view }) => {
    const consumer = consumerOf(world, action)
    consumer.epoch = world.project.pointer
    consumer.lanes = view.logs.map((_, partition) => assign(scenario, view, world, consumer, partition))
  },
  position: ({ world, action, scenario, view }) => {
    const actor = actorOf(world, action)
    const partition = Number(action.what)
    while (actor.lanes.length < partition) actor.lanes.push(unknownLane())
    actor.lanes[partition] = assign(scenario, view, world, actor, partition)
  },
  'insert-row': (context) => {
    const number = newEpochRow(context, lostRow(context), context.view.generation)
    consumerOf(context.world, context.action).starting = number
  },
  init: ({ scenario, world, action }) => {
    const consumer = consumerOf(world, action)
    world.project = scenario.operations.initEpoch(
      world.project,
      consumer.starting,
      rowOf(world, consumer.starting)
    ).project
    consumer.starting = 0
  },
  fetch: ({ view, world, action, scenario }) => {
    const actor = actorOf(world, action)
    const partition = Number(action.what)
    const lane = laneOf(actor, partition)
    const end = view.logs[partition]?.length ?? 0
    // Out of range: the position is compared with the log again.
    if (end < lane.from) actor.lanes[partition] = assign(scenario, view, world, actor, partition)
    else {
      lane.to = action.to ?? end
      lane.first = Math.max(lane.from, view.starts[partition] ?? 0)
      lane.generation = view.generation
    }
  },
  apply: applyRange,
  tear,
  ask: ({ world, action, view, scenario }) => {
    const partition = Number(action.what)
    const actor = actorOf(world, action)
    const clockMs = view.nowMs + clockOff(scenario, action) - scenario.timing.marginMs
    actor.end = { partition, stage: 'sent', clockMs, position: laneOf(actor, partition).from }
  },
  answer,
  count: ({ world, action, view, scenario }) => {
    const countedAtMs = view.nowMs + clockOff(scenario, action) - scenario.timing.marginMs
    consumerOf(world, action).counted = { partitions: view.logs.length, countedAtMs }
  },
  close: (context) => byClock(context, context.scenario.operations.close),
  remove: (context) => {
    rememberClock(context)
    byClock(context, context.scenario.operations.remove)
  },
  recheck: ({ world, action }) => reset(consumerOf(world, action)),
  'read-window': (context) => beginEmission(context, false),
  'read-session': (context) => beginEmission(context, true),
  emit,
  crash: ({ world, action }) => {
    world.left.crash--
    Object.assign(consumerOf(world, action), idleConsumer())
  },
  build: (context) => {
    const { scenario, world, view } = context
    world.left.build = Math.max(0, world.left.build - 1)
    const zeros = view.starts.map((start) => BigInt(start))
    const row: EpochRow = { state: 'building', startOffsets: zeros, completeFromMs: 0 }
    const epoch = newEpochRow(context, row, view.generation)
    world.project = scenario.operations.beginRebuild(world.project, epoch, row).project
    world.builder = { epoch, lanes: view.starts.map(laneAt), end: undefined, sealed: false }
  },
  resume: ({ world, action }) => {
    const epoch = Number(action.what)
    const built = world.project.epochs.get(epoch)
    const lanes = (built?.partitions ?? []).map(({ position }) => laneAt(Number(position)))
    world.builder = { epoch, lanes, end: undefined, sealed: false }
  },
  decide: ({ world }) => setRow(world, builderOf(world).epoch, 'flipping'),
  seal: ({ scenario, world }) => {
    world.project = scenario.operations.seal(world.project).project
    builderOf(world).sealed = true
  },
  unseal: ({ scenario, world }) => {
    world.left.unseal--
    world.project = scenario.operations.unseal(world.project)
    builderOf(world).sealed = false
  },
  flip,
  abort: ({ scenario, world }) => {
    const { epoch } = builderOf(world)
    setRow(world, epoch, 'aborted')
    world.project = scenario.operations.abortEpoch(world.project, epoch).project
    world.builder = undefined
  },
  'build-remove': ({ scenario, world, view }) => {
    const countedAtMs = view.nowMs - scenario.timing.marginMs
    const topic = { epoch: builderOf(world).epoch, partitions: view.logs.length, countedAtMs, limit: Infinity }
    world.project = scenario.operations.remove(world.project, topic, scenario.timing).project
  },
  'end-build': ({ scenario, world }) => {
    const { epoch } = builderOf(world)
    if (world.rows.get(epoch)?.state === 'building' && world.project.pointer !== epoch) {
      setRow(world, epoch, 'aborted')
      world.project = scenario.operations.abortEpoch(world.project, epoch).project
    } else world.project = scenario.operations.unseal(world.project)
    world.builder = undefined
  },
  'row-live': ({ world }) => setRow(world, world.project.pointer, 'live'),
  snapshot: ({ world }) => {
    world.snapshot = { project: world.project, ghosts: new Map(world.ghosts) }
    world.left.rollback--
  },
  rollback: ({ world }) => {
    if (world.snapshot === undefined) return
    world.project = world.snapshot.project
    for (const [number, ghost] of world.snapshot.ghosts) world.ghosts.set(number, ghost)
    world.snapshot = undefined
  },
  lose: ({ world }) => {
    world.left.loss--
    world.project = emptyProject
  },
  'wall-clock': ({ world, action }) => {
    const epoch = world.project.epochs.get(world.project.pointer)
    if (epoch === undefined) return
    const seen = new Map(epoch.seen)
    seen.delete(Number(action.what))
    world.project = withEpoch(world.project, world.project.pointer, { ...epoch, seen })
  }
}

function next({ scenario, world }: Context): void {
  const kind = scenario.happenings[world.index]?.kind
  world.index++
  // The broker refuses fetches of a topic that is gone; that ends the assignment. A range in hand stays in hand.
  if (kind !== 'swap' && kind !== 'recreate') return
  for (const [number, ghost] of world.ghosts) {
    const epoch = world.project.epochs.get(number)
    const begun = epoch?.partitions.some((_, partition) => positionOf(epoch, partition) > 0) === true
    if (kind === 'swap' && !begun) world.ghosts.set(number, { ...ghost, generation: ghost.generation + 1 })
  }
  for (const actor of [...world.consumers, ...(world.builder === undefined ? [] : [world.builder])]) {
    actor.lanes = actor.lanes.map((lane) => (lane.to > lane.from && kind === 'recreate' ? lane : unknownLane()))
    actor.end = undefined
  }
}

/** Reads the stored position, and whether the log is still the one that it was taken in. */
function assign(scenario: Scenario, view: View, world: World, actor: Consumer | Builder, partition: number): Lane {
  const epoch = world.project.epochs.get(actor.epoch)
  if (epoch === undefined) return unknownLane()
  const state = partitionOf(epoch, partition)
  const log = view.logs[partition] ?? []
  const before = Number(state.position) - 1
  const start = view.starts[partition] ?? 0
  const verdict = scenario.operations.compareLog(state, {
    start: BigInt(start),
    end: BigInt(log.length),
    appendedBeforeMs: before >= start ? log[before]?.appendedMs : undefined
  })
  if (verdict.kind === 'other' && 'stopped' in actor) actor.stopped = true
  return verdict.kind === 'other' ? unknownLane() : laneAt(Number(state.position))
}

function applyRange({ scenario, views, view, world, action }: Context): void {
  const actor = actorOf(world, action)
  const partition = Number(action.what)
  const lane = laneOf(actor, partition)
  const call = foldRange(scenario, logViewOf(views, view, lane), {
    epoch: actor.epoch,
    partition,
    from: lane.from,
    first: lane.first,
    to: lane.to,
    leftOut: lane.leftOut,
    nowMs: view.nowMs
  })
  const { project, reply } = scenario.operations.apply(world.project, call)
  world.project = project
  if (reply.kind === 'ok') {
    if (call.expired > 0) addHole(world, actor.epoch, [partition, lane.from, lane.from + call.expired])
    if (action.who !== theBuilder) world.commits[partition] = lane.to
  }
  actor.lanes[partition] = laneAfter(lane, reply)
  if (reply.kind === 'epoch' && action.who !== theBuilder) reset(consumerOf(world, action))
}

function laneAfter(lane: Lane, reply: ApplyReply): Lane {
  switch (reply.kind) {
    case 'ok':
    case 'done':
      return laneAt(lane.to)
    case 'gap':
      return laneAt(Number(reply.position))
    case 'refold':
      return { ...lane, leftOut: [] }
    case 'duplicate':
      return { ...lane, leftOut: [...lane.leftOut, ...reply.ids] }
    case 'epoch':
    case 'sealed':
    case 'broken':
      return lane
  }
}

/** The script dies after its first writes: everything but the position is there, and the marker stays. */
function tear(context: Context): void {
  const { scenario, views, view, world, action } = context
  const actor = actorOf(world, action)
  const partition = Number(action.what)
  const lane = laneOf(actor, partition)
  const range = {
    epoch: actor.epoch,
    partition,
    from: lane.from,
    first: lane.first,
    to: lane.to,
    leftOut: lane.leftOut,
    nowMs: view.nowMs
  }
  const { project, reply } = scenario.operations.apply(
    world.project,
    foldRange(scenario, logViewOf(views, view, lane), range)
  )
  const [before, after] = [world.project.epochs.get(actor.epoch), project.epochs.get(actor.epoch)]
  if (reply.kind !== 'ok' || before === undefined || after === undefined) return
  world.left.tear--
  const { partitions, counts } = before
  world.project = withEpoch(project, actor.epoch, { ...after, partitions, counts, torn: `${lane.from}-${lane.to}` })
}

function answer({ scenario, view, world, action }: Context): void {
  const actor = actorOf(world, action)
  const { end } = actor
  if (end === undefined) return
  const { partition } = end
  if (end.stage === 'sent') {
    const lane = laneOf(actor, partition)
    const atEnd = lane.to === lane.from && lane.from === (view.logs[partition]?.length ?? 0)
    const stage = scenario.rules.clockBeforeRequest ? 'answered' : 'unread'
    actor.end = atEnd ? { ...end, stage, position: lane.from } : undefined
    return
  }
  if (end.stage === 'unread') {
    const clockMs = view.nowMs + clockOff(scenario, action) - scenario.timing.marginMs
    actor.end = { ...end, stage: 'answered', clockMs }
    return
  }
  actor.end = undefined
  const call = emptyCall(actor.epoch, partition, end.position, end.clockMs)
  const { project, reply } = scenario.operations.apply(world.project, call)
  world.project = project
  if (reply.kind === 'gap' || reply.kind === 'done') actor.lanes[partition] = laneAt(Number(reply.position))
  if (reply.kind === 'epoch' && action.who !== theBuilder) reset(consumerOf(world, action))
}

function byClock({ scenario, world, action }: Context, run: Scenario['operations']['close']): void {
  const consumer = consumerOf(world, action)
  const { counted } = consumer
  if (counted === undefined) return
  const topic = { epoch: consumer.epoch, ...counted, limit: Infinity }
  const { project, reply } = run(world.project, topic, scenario.timing)
  world.project = project
  consumer.counted = undefined
  if (reply.kind === 'epoch') reset(consumer)
}

function rememberClock({ world, action, view }: Context): void {
  const { epoch } = consumerOf(world, action)
  const ghost = world.ghosts.get(epoch)
  if (ghost !== undefined) world.ghosts.set(epoch, { ...ghost, removedAtMs: Math.max(ghost.removedAtMs, view.nowMs) })
}

function beginEmission({ scenario, world, action }: Context, isSession: boolean): void {
  const consumer = consumerOf(world, action)
  const { epoch } = consumer
  const name = String(action.what)
  const read = isSession ? readSessionAs(scenario, world, epoch, name) : readWindowAs(scenario, world, epoch, name)
  if (read !== undefined) consumer.emission = { epoch, name, isSession, ...read, produced: false }
}

type ReadValue = Pick<Emission, 'revision' | 'count' | 'sum' | 'final'>

function readWindowAs(
  { operations }: Scenario,
  { project }: World,
  epoch: number,
  name: string
): ReadValue | undefined {
  const reply = operations.readWindow(project, { epoch, name })
  if (reply.kind !== 'value') return undefined
  const total = reply.value.values.get('')
  const { revision, value } = reply
  return { revision, count: total?.count ?? 0, sum: total?.sum ?? 0n, final: value.closed }
}

function readSessionAs(
  { operations }: Scenario,
  { project }: World,
  epoch: number,
  name: string
): ReadValue | undefined {
  const reply = operations.readSession(project, { epoch, name })
  if (reply.kind !== 'value') return undefined
  const { revision, value } = reply
  return { revision, count: value.events, sum: BigInt(value.lastMs - value.firstMs), final: value.closed }
}

function emit({ scenario, world, action }: Context): void {
  const consumer = consumerOf(world, action)
  const made = consumer.emission
  if (made === undefined) return
  const { epoch, name, isSession, revision, count, sum, final } = made
  if (!made.produced) {
    const key = isSession ? `session:${name}` : name
    const held = world.visible.get(key)
    const newer = held === undefined || epoch > held.epoch || (epoch === held.epoch && revision > held.revision)
    if (newer) world.visible.set(key, { epoch, revision, count, sum, final })
    consumer.emission = { ...made, produced: true }
    return
  }
  const confirm = isSession ? scenario.operations.confirmSession : scenario.operations.confirmWindow
  world.project = confirm(world.project, { epoch, name, revision }).project
  consumer.emission = undefined
}

function flip({ scenario, world }: Context): void {
  const builder = builderOf(world)
  const before = world.project.epochs.get(world.project.pointer)
  const { project, reply } = scenario.operations.flip(world.project, builder.epoch)
  world.project = project
  if (reply.kind === 'ok') {
    const after = project.epochs.get(builder.epoch)
    const back = before?.partitions.some((_, p) => after !== undefined && positionOf(after, p) < positionOf(before, p))
    if (back === true) world.wrong = 'a flip moved a position back'
    world.builder = undefined
  } else if (reply.kind !== 'behind') builder.sealed = false
}

function newEpochRow({ world }: Context, row: EpochRow, generation: number): number {
  const number = Math.max(...world.rows.keys()) + 1
  world.rows.set(number, row)
  world.ghosts.set(number, { generation, start: row.startOffsets.map(Number), holes: [], removedAtMs: -1 })
  return number
}

/** For a new log: all of it, complete from the next full hour on. */
function freshRow({ scenario, view }: Context, aheadHours: number): EpochRow {
  const { hourMs } = scenario.timing
  const completeFromMs = (Math.floor(view.nowMs / hourMs) + aheadHours) * hourMs
  return { state: 'live', startOffsets: view.logs.map(() => 0n), completeFromMs }
}

function lostRow({ scenario, view, world }: Context): EpochRow {
  const committed = view.logs.flatMap((log, partition) => log[world.commits[partition] ?? 0]?.appendedMs ?? [])
  const { fromMs, completeFromMs } = startAfterLoss(view.nowMs, committed, scenario.timing)
  const startOffsets = view.logs.map((log, partition) => {
    const first = log.findIndex(({ appendedMs }) => appendedMs >= fromMs)
    return BigInt(Math.max(view.starts[partition] ?? 0, first < 0 ? log.length : first))
  })
  return { state: 'live', startOffsets, completeFromMs }
}

/** The log that a range in hand was read from. */
function logViewOf(views: readonly View[], view: View, { generation, to }: Lane): View {
  if (generation === view.generation) return view
  const old = views.findLast((each) => each.generation === generation && each.logs.some((log) => log.length >= to))
  return old ?? view
}

function addHole(world: World, epoch: number, hole: Ghost['holes'][number]): void {
  const ghost = world.ghosts.get(epoch)
  if (ghost !== undefined) world.ghosts.set(epoch, { ...ghost, holes: [...ghost.holes, hole] })
}

const laneAt = (from: number): Lane => ({ from, first: from, to: from, generation: 0, leftOut: [] })
const unknownLane = (): Lane => laneAt(-1)

function reset(consumer: Consumer): void {
  Object.assign(consumer, idleConsumer())
}

function setRow(world: World, number: number, state: EpochRow['state']): void {
  world.rows.set(number, { ...rowOf(world, number), state })
}

function clockOff({ clockOffMs }: Scenario, { who }: Action): number {
  return clockOffMs[who] ?? 0
}

function rowOf({ rows }: World, number: number): EpochRow {
  return existing(rows.get(number))
}

function consumerOf({ consumers }: World, { who }: Action): Consumer {
  return existing(consumers[who])
}

function builderOf({ builder }: World): Builder {
  return existing(builder)
}

function actorOf(world: World, action: Action): Consumer | Builder {
  return action.who === theBuilder ? builderOf(world) : consumerOf(world, action)
}

function laneOf({ lanes }: { readonly lanes: Lane[] }, partition: number): Lane {
  return existing(lanes[partition])
}

function existing<T>(value: T | undefined): T {
  if (value === undefined) throw new RangeError('the model has lost something')
  return value
}
