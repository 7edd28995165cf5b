// What may happen next in a world. With `settling` faults are over and only what leads to the end is listed.
import { liveEpoch, partitionOf } from '../../src/state.ts'
import type { EpochState } from '../../src/state.ts'
import { keyOfConsumer, positionOf } from './world.ts'
import type { Builder, Consumer, World } from './world.ts'
import type { Scenario, View } from './scenario.ts'

/** `who`: index of a consumer, -1 the builder, -2 nobody. `what`: a partition, a name. `to`: where a fetch ends. */
export interface Action {
  readonly name: string
  readonly who: number
  readonly what?: number | string
  readonly to?: number
}

/** Where the lists are made. */
interface Context {
  readonly scenario: Scenario
  readonly view: View
  readonly world: World
  readonly settling: boolean
}

export const theBuilder = -1
const nobody = -2

/** Everything that may happen next. */
export function actionsOf(scenario: Scenario, views: readonly View[], world: World, settling = false): Action[] {
  const view = viewAt(views, world)
  const context: Context = { scenario, view, world, settling }
  const lists = [
    nextActions(scenario, views, world),
    ...world.consumers.map((consumer, who) => (isTwin(world, who) ? [] : consumerActions(context, consumer, who))),
    world.builder === undefined ? startBuildActions(scenario, world, settling) : builderActions(context, world.builder),
    rowActions(world),
    settling ? [] : faultActions(scenario, view, world)
  ]
  return lists.flat()
}

/** The view that a world is in. */
export function viewAt(views: readonly View[], { index }: World): View {
  const view = views[index]
  if (view === undefined) throw new RangeError(`no view ${index}`)
  return view
}

/** Equal consumers are listed once. */
function isTwin({ consumers }: World, who: number): boolean {
  const [own, before] = [consumers[who], consumers[who - 1]]
  return own !== undefined && before !== undefined && keyOfConsumer(own) === keyOfConsumer(before)
}

function nextActions(scenario: Scenario, views: readonly View[], world: World): Action[] {
  const happening = scenario.happenings[world.index]
  const live = liveEpoch(world.project, world.project.pointer)
  const behind = world.ghosts.get(world.project.pointer)?.generation !== viewAt(views, world).generation
  const announced = scenario.happenings.some(({ kind }) => kind === 'recreate')
  if (announced && behind && live !== undefined) return operatorActions(scenario, world, live)
  if (happening === undefined) return []
  if (happening.kind === 'recreate' && live !== undefined) {
    if (scenario.rules.sealBeforeRecreate && live.stage !== 'sealing') return [{ name: 'operator-seal', who: nobody }]
    if (!scenario.rules.sealBeforeRecreate && world.project.pointer === 1)
      return [{ name: 'operator-start', who: nobody }]
  }
  return [{ name: 'next', who: nobody }]
}

function operatorActions({ rules }: Scenario, world: World, live: EpochState): Action[] {
  if (!rules.sealBeforeRecreate || live.stage !== 'sealing') return []
  const written = Math.max(...world.rows.keys()) > world.project.pointer
  return [{ name: written ? 'operator-replace' : 'operator-row', who: nobody }]
}

function consumerActions(context: Context, consumer: Consumer, who: number): Action[] {
  const { scenario, world, settling } = context
  const actions: Action[] = []
  const add = (name: string, what?: number | string): void => {
    actions.push(what === undefined ? { name, who } : { name, who, what })
  }
  // Another log: it waits until an operator has made another epoch.
  if (consumer.stopped) return world.project.pointer === consumer.epoch ? [] : [{ name: 'recheck', who }]
  const found = scenario.operations.checkEpoch(world.project, world.rows)
  if (!settling && world.left.crash > 0 && (consumer.epoch > 0 || consumer.starting > 0)) add('crash')
  if (consumer.starting > 0) add('init')
  else if (consumer.epoch === 0) add(found.kind === 'lost' ? 'insert-row' : 'read')
  if (consumer.epoch === 0) return actions
  if (found.kind === 'lost') add('recheck')
  actions.push(...laneActions(context, consumer, who))
  const epoch = liveEpoch(world.project, consumer.epoch)
  if (epoch === undefined) add('recheck')
  else if (epoch.torn === undefined) {
    actions.push(...clockActions(context, consumer, epoch, who))
    if (consumer.emission === undefined) {
      for (const name of epoch.dirty) add('read-window', name)
      for (const name of epoch.dirtySessions) add('read-session', name)
    }
  }
  if (consumer.emission !== undefined) add('emit')
  return actions
}

/** Fetch, apply, and asking for the end of a partition that has no more. */
function laneActions(context: Context, actor: Pick<Consumer, 'epoch' | 'lanes' | 'end'>, who: number): Action[] {
  const { scenario, view, world, settling } = context
  const actions: Action[] = []
  const epoch = world.project.epochs.get(actor.epoch)
  const blocked = settling && (epoch?.stage === 'sealing' || epoch?.torn !== undefined)
  for (const [partition, log] of view.logs.entries()) {
    const lane = actor.lanes[partition]
    if (lane === undefined || lane.from < 0) {
      if (epoch !== undefined) actions.push({ name: 'position', who, what: partition })
      continue
    }
    const { from, to } = lane
    if (to > from && !blocked) actions.push({ name: 'apply', who, what: partition })
    if (to > from && !settling && world.left.tear > 0) actions.push({ name: 'tear', who, what: partition })
    if (to !== from) continue
    const next = Math.max(from, view.starts[partition] ?? 0)
    // A log that ends before the position is another one; that is found out by reading.
    if (next < log.length || log.length < from) {
      actions.push({ name: 'fetch', who, what: partition, to: Math.max(log.length, from) })
      if (!settling && !scenario.coarse && log.length - next > 1)
        actions.push({ name: 'fetch', who, what: partition, to: next + 1 })
    }
    if (actor.end === undefined && !blocked && asks(context, epoch, partition, from, who)) {
      actions.push({ name: 'ask', who, what: partition })
    }
  }
  if (actor.end !== undefined) actions.push({ name: 'answer', who })
  return actions
}

/** Whether an owner at `from` asks for the end of the partition: its clock lags, or the position is not its own. */
function asks(context: Context, epoch: EpochState | undefined, partition: number, from: number, who: number): boolean {
  const { scenario, view, settling } = context
  const { timing, clockOffMs, rules } = scenario
  if (epoch === undefined) return rules.idleCheck || who === theBuilder
  if (!rules.idleCheck && who !== theBuilder && !isOpen(epoch)) return false
  const slackMs = settling && clockOffMs.length > 0 ? 1 : 0
  const lags = view.nowMs - timing.marginMs - slackMs > partitionOf(epoch, partition).clockMs
  return lags || (rules.idleCheck && positionOf(epoch, partition) !== from)
}

function isOpen({ windows, sessions, dirty }: EpochState): boolean {
  return dirty.size > 0 || [...windows.values(), ...sessions.values()].some(({ closed }) => !closed)
}

function clockActions(context: Context, consumer: Consumer, epoch: EpochState, who: number): Action[] {
  const { scenario, view, settling } = context
  const { operations, timing, removes } = scenario
  const topic = {
    epoch: consumer.epoch,
    partitions: view.logs.length,
    countedAtMs: view.nowMs - timing.marginMs,
    limit: Infinity
  }
  const alone = { pointer: consumer.epoch, epochs: new Map([[consumer.epoch, epoch]]) }
  const changes = (run: typeof operations.close): boolean => {
    const { reply } = run(alone, topic, timing)
    return reply.kind === 'ok' && reply.changed > 0
  }
  const closes = changes(operations.close)
  const deletes = removes && changes(operations.remove)
  if (consumer.counted === undefined)
    return closes || deletes || (scenario.countsAnytime && !settling) ? [{ name: 'count', who }] : []
  const actions: Action[] = []
  if (closes || !settling) actions.push({ name: 'close', who })
  if (deletes || (!settling && removes)) actions.push({ name: 'remove', who })
  return actions.length > 0 ? actions : [{ name: 'close', who }]
}

function startBuildActions({ operations }: Scenario, world: World, settling: boolean): Action[] {
  const found = operations.checkEpoch(world.project, world.rows)
  if (found.kind === 'finish-flip') return [{ name: 'resume', who: theBuilder, what: found.epoch }]
  const live = liveEpoch(world.project, world.project.pointer)
  const repair = settling && found.kind === 'broken'
  if (live === undefined || (!repair && (settling || world.left.build === 0))) return []
  return [{ name: 'build', who: theBuilder }]
}

function builderActions(context: Context, builder: Builder): Action[] {
  const { scenario, world, settling } = context
  const { project, rows, left } = world
  const built = project.epochs.get(builder.epoch)
  const live = liveEpoch(project, project.pointer)
  const row = rows.get(builder.epoch)
  const add = (name: string): Action => ({ name, who: theBuilder })
  if (row === undefined || built === undefined || built.torn !== undefined) return [add('end-build')]
  if (project.pointer >= builder.epoch) return [add('end-build')]
  const actions = laneActions(context, builder, theBuilder)
  if (live === undefined) return actions
  if (row.state === 'building') actions.push(add('decide'))
  else if (!builder.sealed || (settling && live.stage !== 'sealing')) actions.push(add('seal'))
  else {
    const ready = built.partitions.every((_, partition) => positionOf(built, partition) >= positionOf(live, partition))
    if (!settling || ready) actions.push(add('flip'))
    if (!settling && left.unseal > 0 && live.stage === 'sealing') actions.push(add('unseal'))
  }
  if (!settling && scenario.aborts && row.state === 'building') actions.push(add('abort'))
  if (!settling && scenario.removes) actions.push(add('build-remove'))
  return actions
}

function rowActions({ project, rows }: World): Action[] {
  const state = rows.get(project.pointer)?.state
  return state === 'building' || state === 'flipping' ? [{ name: 'row-live', who: nobody }] : []
}

function faultActions({ rules, timing }: Scenario, view: View, { project, left, snapshot }: World): Action[] {
  const actions: Action[] = []
  if (left.rollback > 0 && snapshot === undefined) actions.push({ name: 'snapshot', who: nobody })
  if (snapshot !== undefined) actions.push({ name: 'rollback', who: nobody })
  if (left.loss > 0 && project.pointer > 0) actions.push({ name: 'lose', who: nobody })
  if (rules.noWallClock) return actions
  const live = liveEpoch(project, project.pointer)
  for (const hour of live?.seen.keys() ?? []) {
    const expired = view.nowMs >= (hour + 1) * timing.hourMs + timing.latenessMs + timing.seenKeepMs
    if (expired) actions.push({ name: 'wall-clock', who: nobody, what: hour })
  }
  return actions
}
