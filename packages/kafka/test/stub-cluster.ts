// Three brokers as a model under our own delivery: what the library's `send` may do when brokers are hurt, its worst
// habit included: it resolves without the partitions of a leader that died, once another leader has answered.
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { deliver } from '../src/produce-delivery.ts'
import type { ProduceTransport } from '../src/produce-delivery.ts'
import type { ProduceRecord } from '../src/port.ts'
import type { ReplyLine } from '../src/produce-reply.ts'
import type { FaultyCluster } from './produce-faults.ts'

interface Broker {
  alive: boolean
  /** Set while it is frozen; rejected when it dies, without having done anything. */
  frozen: PromiseWithResolvers<void> | undefined
  losing: { acted: number } | undefined
}

interface StubTopic {
  readonly minInsync: number
  readonly leaders: number[]
  readonly logs: string[][]
}

const notLeader = 6
const notEnoughReplicas = 19
const reset = (): Error => Object.assign(new Error('reset'), { name: 'KafkaJSConnectionClosedError' })

/**
 * Opens the model with all three brokers alive. With `staleHint` our delivery believes that broker 1 leads everything, so
 * that one send of the library spans several leaders.
 */
export function openStubCluster({ staleHint = false } = {}): FaultyCluster {
  const brokers = new Map<number, Broker>(
    [1, 2, 3].map((id) => [id, { alive: true, frozen: undefined, losing: undefined }])
  )
  const topics = new Map<string, StubTopic>()
  const topicOf = (name: string): StubTopic => {
    const topic = topics.get(name)
    if (topic === undefined) throw new Error(`no topic ${name}`)
    return topic
  }
  const brokerOf = (id: number): Broker => {
    const broker = brokers.get(id)
    if (broker === undefined) throw new Error(`no broker ${id}`)
    return broker
  }
  const living = (): number[] => [...brokers].filter(([, { alive }]) => alive).map(([id]) => id)

  const append = (name: string, leader: number, records: readonly ProduceRecord[]): ReplyLine[] => {
    const topic = topicOf(name)
    return [...new Set(records.map(({ partition }) => partition))].map((partition) => {
      const line = { topicName: name, partition, logAppendTime: '1' }
      if (topic.leaders[partition] !== leader) return { ...line, errorCode: notLeader, baseOffset: '-1' }
      if (living().length < topic.minInsync) return { ...line, errorCode: notEnoughReplicas, baseOffset: '-1' }
      const log = topic.logs[partition] ?? []
      const baseOffset = String(log.length)
      log.push(...records.filter((record) => record.partition === partition).map(({ value }) => String(value)))
      return { ...line, errorCode: 0, baseOffset }
    })
  }

  const ask = async (name: string, id: number, records: readonly ProduceRecord[]): Promise<readonly ReplyLine[]> => {
    await new Promise((resolve) => setImmediate(resolve))
    const broker = brokerOf(id)
    if (broker.frozen !== undefined) await broker.frozen.promise
    if (!broker.alive) throw reset()
    const lines = append(name, id, records)
    if (broker.losing === undefined) return lines
    broker.losing.acted++
    broker.losing = undefined
    throw reset()
  }

  const send: ProduceTransport['send'] = async (name, records) => {
    const byLeader = Map.groupBy(records, ({ partition }) => topicOf(name).leaders[partition] ?? -1)
    const answers = await Promise.allSettled([...byLeader].map(([leader, own]) => ask(name, leader, own)))
    const lines = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    const failed = answers.find((answer) => answer.status === 'rejected')
    if (lines.length === 0 && failed !== undefined) throw failed.reason
    return lines
  }
  const leaders = async (name: string): Promise<ReadonlyMap<number, number>> =>
    new Map(topicOf(name).leaders.map((leader, partition) => [partition, leader]))

  const hint = async (name: string): Promise<ReadonlyMap<number, number>> =>
    staleHint ? new Map(topicOf(name).leaders.map((_, partition) => [partition, 1])) : await leaders(name)

  return {
    producer: async (ackTimeoutMs) => ({
      produce: (topic, records, call) =>
        deliver(topic, records, {
          transport: { send, leaders: hint },
          clock: systemClock,
          log: createSilentLogger(),
          ackTimeoutMs,
          maxRecordsPerPartition: 1_000,
          ...call
        }),
      partitionCount: async (topic) => topicOf(topic).leaders.length,
      leaders,
      [Symbol.asyncDispose]: async () => undefined
    }),
    async newTopic(partitions, minInsync) {
      const name = `t${topics.size}`
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      topics.set(name, { minInsync, leaders: all.map((partition) => (partition % 3) + 1), logs: all.map(() => []) })
      return name
    },
    leaderOf: async (topic, partition) => topicOf(topic).leaders[partition] ?? -1,
    values: async (topic, partition) => topicOf(topic).logs[partition] ?? [],
    loseReply(id) {
      const losing = { acted: 0 }
      brokerOf(id).losing = losing
      return { acted: () => losing.acted }
    },
    freeze(id) {
      brokerOf(id).frozen = Promise.withResolvers()
    },
    thaw(id) {
      brokerOf(id).frozen?.resolve()
      brokerOf(id).frozen = undefined
    },
    frozenForMs: 300,
    kill(id) {
      const broker = brokerOf(id)
      broker.alive = false
      broker.frozen?.promise.catch(() => undefined)
      broker.frozen?.reject(reset())
      broker.frozen = undefined
      const [heir = -1] = living()
      for (const { leaders: of } of topics.values())
        for (const [partition, leader] of of.entries()) if (leader === id) of[partition] = heir
    },
    async revive(id) {
      brokerOf(id).alive = true
    },
    [Symbol.asyncDispose]: async () => undefined
  }
}
