import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, expect, test } from 'vitest'
import { parseTopicDeclaration } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import type { LogSampler } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { growTopics, planGrowth } from './grow-topics.ts'
import type { GrowDeps } from './grow-topics.ts'
import { topicsFile } from './topics.ts'

/** A project with four partitions; `holders` says who holds how many of each topic. */
async function open(holders: (topic: string) => Readonly<Record<string, number>> = () => ({})) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-grow-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'topics.yaml')
  await writeFile(file, await readFile(topicsFile))
  const { admin } = createMemoryCluster({ clock: systemClock })
  const create = (topic: string) => ({ topic, partitions: 4, replicationFactor: 1, config: {} })
  await admin.createTopics(['events.shop', 'events.processed.shop'].map(create))
  const done: string[] = []
  const audited: unknown[] = []
  const tx = {
    query: async (_sql: string, values: readonly unknown[]) => {
      audited.push(values[1], values[5], values[6])
      return []
    }
  }
  const deps: GrowDeps = {
    admin: {
      ...admin,
      growPartitions: async (topic, count) => {
        done.push(`${topic} ${count}`)
        await admin.growPartitions(topic, count)
      }
    },
    sampler: {
      holders: async (topic): ReturnType<LogSampler['holders']> => {
        done.push(`who holds ${topic}`)
        const counts = Object.entries(holders(topic))
        return new Map(counts.map(([group, count]) => [group, new Set(Array.from({ length: count }, (_, at) => at))]))
      }
    },
    postgres: { transaction: (fn: (each: typeof tx) => unknown) => fn(tx) } as unknown as Postgres,
    actor: 'cli:ann',
    clock: { ...systemClock, sleep: async () => undefined },
    say: () => undefined,
    file,
    waitMs: 20
  }
  return { deps, done, audited, admin, file }
}

test('grows the processed topic, waits for its readers, then the raw one, and waits for its groups', async () => {
  const asked = new Map<string, number>()
  const { deps, done, audited, admin, file } = await open((topic) => {
    // The groups follow at the third time that they are asked about.
    asked.set(topic, (asked.get(topic) ?? 0) + 1)
    return { load: asked.get(topic)! >= 3 ? 8 : 4 }
  })
  const plan = await growTopics(deps, 'shop', 8)
  expect(plan).toMatchObject({ raw: 4, processed: 4, steps: ['declare', 'grow processed', 'grow raw'] })
  const processed = 'who holds events.processed.shop'
  const raw = 'who holds events.shop'
  expect(done).toEqual(['events.processed.shop 8', processed, processed, processed, 'events.shop 8', raw, raw, raw])
  expect((await admin.describeTopics(['events.shop', 'events.processed.shop'])).map((each) => each.partitions)).toEqual(
    [8, 8]
  )
  expect(parseTopicDeclaration(await readFile(file, 'utf8')).grown).toEqual({ shop: 8 })
  expect(audited).toEqual([
    'topics.grow',
    '{"raw":4,"processed":4,"declared":null}',
    '{"raw":8,"processed":8,"declared":8}'
  ])
})

test('does not grow the raw topic while a reader of the processed one has not followed, and goes on when repeated', async () => {
  let held = 4
  const { deps, done, admin } = await open(() => ({ 'realtime-1': held, load: 8 }))
  await expect(growTopics(deps, 'shop', 8)).rejects.toMatchObject({
    code: 'PIPE_DEADLINE',
    message: expect.stringContaining('realtime-1 (4)')
  })
  expect(done.filter((each) => each.startsWith('events.'))).toEqual(['events.processed.shop 8'])
  held = 8
  expect((await growTopics(deps, 'shop', 8)).steps).toEqual(['grow raw'])
  expect((await admin.describeTopics(['events.shop']))[0]?.partitions).toBe(8)
  expect((await growTopics(deps, 'shop', 8)).steps).toEqual([])
})

test('waits for a group that is being assigned, but not for somebody who only looks at the log', async () => {
  let held = 0
  const { deps, done } = await open(() => ({ 'read-c0ffee': 1, load: held, process: 8 }))
  await expect(growTopics(deps, 'shop', 8)).rejects.toMatchObject({
    code: 'PIPE_DEADLINE',
    message: expect.stringMatching(/are held: load \(0\)$/)
  })
  expect(done.filter((each) => each.startsWith('events.'))).toEqual(['events.processed.shop 8'])
  held = 8
  expect((await growTopics(deps, 'shop', 8)).steps).toEqual(['grow raw'])
})

test('refuses fewer partitions, numbers that are none, and projects without topics, before anything changes', async () => {
  const { deps, done, file } = await open()
  const before = await readFile(file, 'utf8')
  for (const count of [3, 0, 2.5, 1_001, Number.NaN])
    await expect(growTopics(deps, 'shop', count)).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
  await expect(planGrowth(deps, 'other', 8)).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  expect([done, await readFile(file, 'utf8')]).toEqual([[], before])
})
