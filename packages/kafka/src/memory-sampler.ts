// Samples of the cluster in this process.
import type { MemoryGroup } from './memory-group.ts'
import type { MemoryLog } from './memory-log.ts'
import { partitionKey } from './port.ts'
import type { LogSampler } from './port.ts'

/** A sampler of `log`; every partition is led by node 1. */
export function createMemorySampler(log: MemoryLog, groups: ReadonlyMap<string, MemoryGroup>): LogSampler {
  return {
    async heads(wanted) {
      return [...log.topics].flatMap(([topic, { partitions }]) =>
        wanted(topic)
          ? partitions.flatMap((_, partition) => {
              const range = log.range(topic, partition)
              return range === undefined ? [] : [{ ...range, leader: 1 }]
            })
          : []
      )
    },
    async committed(groupId, partitions) {
      const committed = groups.get(groupId)?.committed
      return new Map(
        partitions.flatMap((partition): [string, bigint][] => {
          const offset = committed?.get(partitionKey(partition))
          return offset === undefined ? [] : [[partitionKey(partition), offset]]
        })
      )
    },
    async appendTimes(positions) {
      return new Map(
        positions.flatMap((position): [string, number][] => {
          const [next] = log.read(position.topic, position.partition, position.offset, 1, 1)
          return next === undefined ? [] : [[partitionKey(position), next.appendedAtMs]]
        })
      )
    },
    async holders(topic) {
      const held = [...groups].map(([groupId, group]): [string, ReadonlySet<number>] => [
        groupId,
        new Set(
          group
            .holding()
            .filter((each) => each.topic === topic)
            .map(({ partition }) => partition)
        )
      ])
      return new Map(held.filter(([, partitions]) => partitions.size > 0))
    },
    [Symbol.asyncDispose]: async () => {}
  }
}
