// How the processes of one service ask each other. A process offers values by topic; whoever collects a topic gets the
// value of every process, itself included. Between processes the primary passes messages on and looks into none.
import type { Clock } from '@millrace/kernel'

/** The processes of this service, as one of them sees them. A service of one process sees itself. */
export interface Peers {
  /** Offers the value of `give` to whoever collects `topic`. It has to survive JSON. */
  provide(topic: string, give: () => unknown): void
  /** The values of all processes that answer within a second, in no order. */
  collect(topic: string): Promise<readonly unknown[]>
}

/** The channel to the other side: of a worker, the primary; of the primary, one worker. */
export interface Link {
  send(message: PeerMessage): void
  onMessage(handler: (message: unknown) => void): void
}

export type PeerMessage =
  | { readonly millrace: 'stop' }
  /** Worker to primary: it takes connections at this port. */
  | { readonly millrace: 'listening'; readonly port: number }
  /** Worker to primary: values of all, please. Primary to worker: yours, please. */
  | { readonly millrace: 'ask'; readonly id: number; readonly topic: string }
  | { readonly millrace: 'answer'; readonly id: number; readonly values: readonly unknown[] }

/** Whether `message` is one of ours: the channel carries those of Node's cluster module, too. */
export function isPeerMessage(message: unknown): message is PeerMessage {
  return typeof message === 'object' && message !== null && 'millrace' in message
}

const answerWithinMs = 1_000

/** The peers of a process behind `link`; without one it is alone. */
export function createPeers(link: Link | undefined, clock: Clock): Peers {
  const offers = new Map<string, () => unknown>()
  const own = async (topic: string): Promise<readonly unknown[]> => {
    const give = offers.get(topic)
    return give === undefined ? [] : [await give()]
  }
  const provide: Peers['provide'] = (topic, give) => void offers.set(topic, give)
  if (link === undefined) return { provide, collect: own }

  const ask = createAsking(link, clock)
  link.onMessage((message) => {
    if (!isPeerMessage(message)) return
    if (message.millrace === 'answer') ask.answered(message)
    if (message.millrace === 'ask') {
      const { id, topic } = message
      own(topic).then(
        (values) => link.send({ millrace: 'answer', id, values }),
        () => link.send({ millrace: 'answer', id, values: [] })
      )
    }
  })
  return { provide, collect: (topic) => ask.collect(topic, 2 * answerWithinMs) }
}

/** The middle: passes each question of a worker to all of them, and the answers of those in time back. */
export interface Hub {
  /** A worker that has just been started. The returned function forgets it. */
  add(link: Link): () => void
  /** Offers a value of the primary itself. */
  provide(topic: string, give: () => unknown): void
}

/** A hub without workers. */
export function createHub(clock: Clock): Hub {
  const asking = new Map<Link, Asking>()
  const offers = new Map<string, () => unknown>()
  const collect = async (topic: string): Promise<readonly unknown[]> => {
    const give = offers.get(topic)
    const answers = [...asking.values()].map((each) => each.collect(topic, answerWithinMs))
    const own = give === undefined ? [] : [await give()]
    return [...own, ...(await Promise.all(answers)).flat()]
  }
  return {
    add: (link) => {
      const ask = createAsking(link, clock)
      asking.set(link, ask)
      link.onMessage((message) => {
        if (!isPeerMessage(message)) return
        if (message.millrace === 'answer') ask.answered(message)
        if (message.millrace === 'ask') {
          const { id, topic } = message
          void collect(topic).then((values) => link.send({ millrace: 'answer', id, values }))
        }
      })
      return () => void asking.delete(link)
    },
    provide: (topic, give) => void offers.set(topic, give)
  }
}

interface Asking {
  /** No values when no answer comes within `ms`. */
  collect(topic: string, ms: number): Promise<readonly unknown[]>
  answered(answer: PeerMessage & { readonly millrace: 'answer' }): void
}

function createAsking(link: Link, clock: Clock): Asking {
  const open = new Map<number, (values: readonly unknown[]) => void>()
  let lastId = 0
  return {
    collect: async (topic, ms) => {
      const id = ++lastId
      const { promise, resolve } = Promise.withResolvers<readonly unknown[]>()
      open.set(id, resolve)
      using _deadline = clock.timer(ms, () => resolve([]))
      link.send({ millrace: 'ask', id, topic })
      const values = await promise
      open.delete(id)
      return values
    },
    answered: ({ id, values }) => open.get(id)?.(values)
  }
}
