// Consumers that all believe they own everything, a builder, an operator, and everything that can go wrong around the
// reducers. `actionsOf` lists what may happen next, `step` lets it happen; both are pure.
import type { EpochRow } from '../../src/epochs.ts'
import { emptyProject, partitionOf } from '../../src/state.ts'
import type { EpochState, ProjectState } from '../../src/state.ts'
import type { Scenario, View } from './scenario.ts'

/**
 * What a consumer has of one partition: the range [from, to) in hand, read in `generation`; `from` < 0 = unknown. What
 * lies before `first` was gone when it was read.
 */
export interface Lane {
  from: number
  first: number
  to: number
  generation: number
  leftOut: readonly string[]
}

/** A request for the end offset of a partition, on its way. `clockMs` is what will be told if it finds nothing. */
export interface EndRequest {
  readonly partition: number
  readonly stage: 'sent' | 'answered' | 'unread'
  readonly clockMs: number
  readonly position: number
}

export interface Emission {
  readonly epoch: number
  readonly name: string
  readonly isSession: boolean
  readonly revision: number
  readonly count: number
  readonly sum: bigint
  readonly final: boolean
  readonly produced: boolean
}

export interface Consumer {
  /** 0 = not started. */
  epoch: number
  lanes: Lane[]
  end: EndRequest | undefined
  counted: { readonly partitions: number; readonly countedAtMs: number } | undefined
  emission: Emission | undefined
  /** The row it has written and not yet made true. */
  starting: number
  /** It found another log and waits for an operator. */
  stopped: boolean
}

export interface Builder {
  readonly epoch: number
  lanes: Lane[]
  end: EndRequest | undefined
  sealed: boolean
}

/** What the checker knows of an epoch and Redis does not. */
export interface Ghost {
  readonly generation: number
  readonly start: readonly number[]
  /** Ranges that retention took before they were applied. */
  readonly holes: readonly (readonly [partition: number, from: number, to: number])[]
  /** The highest clock at which something was deleted. */
  readonly removedAtMs: number
}

export interface Visible {
  readonly epoch: number
  readonly revision: number
  readonly count: number
  readonly sum: bigint
  readonly final: boolean
}

/** Redis as it was, with what the checker knows of it. */
interface Snapshot {
  readonly project: ProjectState
  readonly ghosts: ReadonlyMap<number, Ghost>
}

export interface World {
  index: number
  project: ProjectState
  ghosts: Map<number, Ghost>
  snapshot: Snapshot | undefined
  rows: Map<number, EpochRow>
  commits: number[]
  consumers: Consumer[]
  builder: Builder | undefined
  visible: Map<string, Visible>
  left: { crash: number; rollback: number; loss: number; build: number; unseal: number; tear: number }
  /** A wrong that is seen while it happens. */
  wrong: string
}

export const idleConsumer = (): Consumer => ({
  epoch: 0,
  lanes: [],
  end: undefined,
  counted: undefined,
  emission: undefined,
  starting: 0,
  stopped: false
})

/** Epoch 1 is live from the first offset on, nobody has started. */
export function firstWorld(scenario: Scenario, views: readonly View[]): World {
  const count = views[scenario.begin]?.logs.length ?? scenario.partitions
  const zeros = Array.from({ length: count }, () => 0)
  const row: EpochRow = { state: 'live', startOffsets: zeros.map(BigInt), completeFromMs: 0 }
  return {
    index: scenario.begin,
    project: scenario.operations.initEpoch(emptyProject, 1, row).project,
    ghosts: new Map([[1, { generation: 0, start: zeros, holes: [], removedAtMs: -1 }]]),
    snapshot: undefined,
    rows: new Map([[1, row]]),
    commits: zeros,
    consumers: Array.from({ length: scenario.consumers }, idleConsumer),
    builder: undefined,
    visible: new Map(),
    left: { ...scenario.faults },
    wrong: ''
  }
}

/** A copy whose members may be assigned. */
export function copyWorld(world: World): World {
  const lanes = (all: readonly Lane[]): Lane[] => all.map((lane) => ({ ...lane }))
  return {
    ...world,
    ghosts: new Map(world.ghosts),
    rows: new Map(world.rows),
    commits: [...world.commits],
    consumers: world.consumers.map((consumer) => ({ ...consumer, lanes: lanes(consumer.lanes) })),
    builder: world.builder === undefined ? undefined : { ...world.builder, lanes: lanes(world.builder.lanes) },
    visible: new Map(world.visible),
    left: { ...world.left }
  }
}

/** The position of a partition as a number; the small world has no large ones. */
export function positionOf(epoch: EpochState, partition: number): number {
  return Number(partitionOf(epoch, partition).position)
}

/** One text per world; equal worlds have equal texts. */
export function keyOf(world: World): string {
  const { snapshot } = world
  return [
    world.index,
    keyOfProject(world.project),
    keyOfGhosts(world.ghosts),
    snapshot === undefined ? '' : keyOfProject(snapshot.project) + keyOfGhosts(snapshot.ghosts),
    [...world.rows.values()].map(({ state, startOffsets, completeFromMs }) => [state, startOffsets, completeFromMs]),
    world.commits,
    world.consumers.map(keyOfConsumer),
    world.builder === undefined ? '' : keyOfConsumer({ ...idleConsumer(), ...world.builder }) + world.builder.sealed,
    entries(world.visible, (each) => Object.values(each).join('.')),
    Object.values(world.left)
  ].join('/')
}

export function keyOfConsumer(consumer: Consumer): string {
  const { epoch, lanes, end, counted, emission, starting, stopped } = consumer
  const inHand = lanes.map(
    ({ from, first, to, generation, leftOut }) => `${from}-${first}-${to}~${generation}:${leftOut.join('.')}`
  )
  const asked = [end, counted, emission].map((each) => (each === undefined ? '' : Object.values(each).join('.')))
  return `${epoch};${inHand.join()};${asked.join()};${starting}${stopped ? 's' : ''}`
}

function keyOfProject({ pointer, epochs }: ProjectState): string {
  return `${pointer}${entries(epochs, keyOfEpoch)}`
}

function keyOfEpoch(epoch: EpochState): string {
  return [
    epoch.stage,
    epoch.completeFromMs,
    epoch.torn ?? '',
    epoch.partitions.map(({ position, appendedAtMs, clockMs }) => `${position}.${appendedAtMs}.${clockMs}`),
    epoch.deletedThrough,
    entries(epoch.seen, (ids) => [...ids].sort().join('.')),
    entries(epoch.windows, ({ events, closed, values }) => `${events}${closed}${values.get('')?.sum}`),
    [...epoch.dirty].sort(),
    entries(epoch.sessions, (session) => `${session.firstMs}-${session.lastMs}.${session.events}${session.closed}`),
    [...epoch.dirtySessions].sort(),
    Object.values(epoch.counts)
  ].join(';')
}

function keyOfGhosts(ghosts: ReadonlyMap<number, Ghost>): string {
  return entries(ghosts, ({ generation, start, holes, removedAtMs }) =>
    [generation, start, holes, removedAtMs].join('.')
  )
}

function entries<V>(map: ReadonlyMap<string | number, V>, show: (value: V) => string): string {
  return [...map]
    .map(([key, value]) => `${key}=${show(value)}`)
    .sort()
    .join()
}
