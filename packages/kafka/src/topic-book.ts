// What the partition queue knows of the topics it publishes to: their partitions, who leads them, and the events that
// came before that was known. Leaders move, so what is known is renewed in the background while events come.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { newPartition } from './partition-lanes.ts'
import type { PartitionQueueState } from './partition-lanes.ts'
import type { RoutedProducer } from './port.ts'
import type { Entry } from './publish-request.ts'

/** What is known of the topic of a project. */
export interface TopicState {
  readonly project: string
  readonly topic: string
  readonly maxBytes: number
  bytes: number
  /** How many partitions events are spread over; 0 while that is not known. */
  count: number
  /** Never shortened: a topic that is made anew must not meet what is still under way to the old one. */
  readonly partitions: PartitionQueueState[]
  /** Events that came before the partitions were known. */
  parked: Entry[]
  askedAtMs: number
  asking: boolean
}

const refreshAfterMs = 5_000

export interface TopicBookDeps {
  readonly leaders: RoutedProducer['leaders']
  readonly topicOf: (project: string) => string
  readonly maxBytes: (project: string) => number
  readonly clock: Clock
  /** The partitions are known; `parked` came before. */
  readonly onKnown: (state: TopicState, parked: readonly Entry[]) => void
  /** Nobody can tell the partitions, or the topic is `missing`. */
  readonly onFailure: (parked: readonly Entry[], missing: boolean) => void
}

export interface TopicBook {
  /** The topic of a project. */
  of(project: string): TopicState
  all(): Iterable<TopicState>
  /** Asks for the partitions when they are unknown or old, and is not waited for. */
  refresh(state: TopicState, nowMs: number): void
}

/** An empty book; topics are never forgotten, since there is one per project. */
export function createTopicBook(deps: TopicBookDeps): TopicBook {
  const topics = new Map<string, TopicState>()

  const ask = (state: TopicState): void => {
    state.asking = true
    state.askedAtMs = deps.clock.monotonic()
    deps.leaders(state.topic).then(
      (leaders) => {
        state.asking = false
        spread(state, leaders)
        deps.onKnown(state, state.parked.splice(0))
      },
      (error: unknown) => {
        state.asking = false
        const missing = error instanceof AppError && error.code === 'PIPE_TOPIC_MISSING'
        if (missing) state.count = 0
        deps.onFailure(state.parked.splice(0), missing)
      }
    )
  }

  return {
    of(project) {
      const known = topics.get(project)
      if (known !== undefined) return known
      const made: TopicState = {
        project,
        topic: deps.topicOf(project),
        maxBytes: deps.maxBytes(project),
        bytes: 0,
        count: 0,
        partitions: [],
        parked: [],
        askedAtMs: Number.NEGATIVE_INFINITY,
        asking: false
      }
      topics.set(project, made)
      return made
    },
    all: () => topics.values(),
    refresh(state, nowMs) {
      if (!state.asking && (state.count === 0 || nowMs - state.askedAtMs >= refreshAfterMs)) ask(state)
    }
  }
}

/** Partitions that exist keep what waits in them; their next request goes to the new leader. */
function spread(state: TopicState, leaders: ReadonlyMap<number, number>): void {
  state.count = leaders.size
  for (let number = 0; number < leaders.size; number++) {
    const leader = leaders.get(number) ?? -1
    const known = state.partitions[number]
    if (known === undefined) state.partitions[number] = newPartition(state.topic, number, leader)
    else known.leader = leader
  }
}
