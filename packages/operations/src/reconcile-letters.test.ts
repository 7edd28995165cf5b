import { expect, test } from 'vitest'
import { dlqTopic, rawTopic, redriveTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import { createManualClock, systemClock } from '@millrace/kernel'
import { readRangeLetters } from './reconcile-letters.ts'

const project = 'shop'
const noEvent = { stage: 'decode', 'error-code': 'PIPE_NOT_AN_EVENT' }
const refused = { stage: 'handle', 'error-code': 'PIPE_CLICKHOUSE_REFUSED' }

async function open() {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const plain = { partitions: 1, replicationFactor: 1, config: {} }
  const topics = [dlqTopic(project), ...['load', 'process'].map(redriveTopic)]
  await cluster.admin.createTopics(topics.map((topic) => ({ topic, ...plain })))
  const headersOf = (group: string, offset: number, cause: Readonly<Record<string, string>>) => {
    const topic = rawTopic(project)
    const own = {
      id: `${group}:${topic}:0:${offset}`,
      topic,
      partition: '0',
      offset: String(offset),
      'append-time': '1',
      group,
      'error-class': 'schema',
      attempts: '1',
      'first-failure': '1',
      'last-failure': '1',
      ...cause
    }
    return Object.fromEntries(Object.entries(own).map(([name, value]) => [`dlq.${name}`, value]))
  }
  const write = async (topic: string, headers: Readonly<Record<string, string>>): Promise<bigint> => {
    const [outcome] = await cluster.producer.produce(topic, [{ partition: 0, key: null, value: null, headers }])
    return outcome?.kind === 'acked' ? outcome.offset : -1n
  }
  return {
    cluster,
    clock,
    /** Writes a letter; resolves with its place. */
    fail: (group: string, offset: number, cause: Readonly<Record<string, string>>) =>
      write(dlqTopic(project), headersOf(group, offset, cause)),
    /** Sends the letter that lies at `at` to `to`, which comes past it. */
    redrive: async (to: string, at: bigint, group: string, offset: number, cause: Readonly<Record<string, string>>) => {
      const headers = { ...headersOf(group, offset, cause), 'dlq.redriven-from': `0:${at}` }
      const end = await write(redriveTopic(to), headers)
      await cluster.admin.setGroupOffsets(to, redriveTopic(to), new Map([[0, end + 1n]]))
    },
    read: async (maxHeld = 100) => {
      const groups = { load: 'load', process: 'process', aggregate: 'aggregate' }
      const log = { client: cluster.client(), clock: systemClock }
      const letters = await readRangeLetters(
        { admin: cluster.admin, log },
        { projectId: project, sinceMs: 0, maxHeld, groups }
      )
      const says = (offset: number) => {
        const place = { partition: 0, offset: BigInt(offset) }
        return [letters.isExcused(place), letters.isUncounted(place), letters.isLettered(place)]
      }
      return { says, isForgotten: letters.isForgotten }
    }
  }
}

test('the warehouse need not have what the loaders refused, nor what was no event to the processors; no other letter excuses it', async () => {
  const { fail, read } = await open()
  await fail('load', 1, refused)
  await fail('process', 2, noEvent)
  await fail('process', 3, { stage: 'handle', 'error-code': 'PIPE_KAFKA_REFUSED' })
  await fail('record', 4, refused)
  await fail('aggregate', 5, { stage: 'handle', 'error-code': 'PIPE_BUG' })
  const { says } = await read()
  expect([1, 2, 3, 4, 5, 6].map(says)).toEqual([
    [true, false, false],
    [true, true, true],
    [false, false, true],
    [false, false, false],
    [false, true, false],
    [false, false, false]
  ])
})

test('a letter excuses nothing any more when all groups that it was sent to passed its record', async () => {
  const { fail, redrive, read } = await open()
  const at = await fail('process', 2, noEvent)
  await redrive('load', at, 'process', 2, noEvent)
  // Its own group is sent to last: until then the redrive was killed half-way.
  expect((await read()).says(2)).toEqual([true, true, true])
  await redrive('process', at, 'process', 2, noEvent)
  expect((await read()).says(2)).toEqual([false, true, true])
})

test('the letter that a redriven record got from the loaders excuses it', async () => {
  const { fail, redrive, read } = await open()
  const at = await fail('process', 2, noEvent)
  await redrive('load', at, 'process', 2, noEvent)
  await redrive('process', at, 'process', 2, noEvent)
  const again = await fail('load', 2, refused)
  expect((await read()).says(2)).toEqual([true, true, true])
  await redrive('load', again, 'load', 2, refused)
  expect((await read()).says(2)).toEqual([false, true, true])
  // Written anew after that: open again.
  await fail('load', 2, refused)
  expect((await read()).says(2)).toEqual([true, true, true])
})

test('refuses more letters than it may hold', async () => {
  const { fail, read } = await open()
  for (let offset = 0; offset < 4; offset++) await fail('load', offset, refused)
  await expect(read(3)).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
  await read(4)
})

test('a letter may have been forgotten when its record is older than the first one that the topic still has', async () => {
  const { cluster, clock, fail, read } = await open()
  await fail('process', 1, noEvent)
  const oldMs = clock.now()
  await clock.advance(60_000)
  await fail('process', 2, noEvent)
  expect((await read()).isForgotten(oldMs)).toBe(false)
  cluster.trim({ topic: dlqTopic(project), partition: 0 }, 1n)
  const { isForgotten } = await read()
  expect([isForgotten(oldMs), isForgotten(clock.now())]).toEqual([true, false])
})
