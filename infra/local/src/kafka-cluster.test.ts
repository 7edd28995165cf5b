import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ensureKafkaCluster } from './kafka-cluster.ts'

const state = { dataDir: '' }
beforeEach(async () => {
  state.dataDir = await mkdtemp(join(tmpdir(), 'kafka-cluster-'))
})
afterEach(() => rm(state.dataDir, { recursive: true, force: true }))

test('a new folder gets one broker, and keeps its id', async () => {
  const made = await ensureKafkaCluster(state.dataDir)
  expect(made).toMatchObject({ brokers: 1, clusterId: expect.stringMatching(/^[\w][\w-]{21}$/) })
  expect(await ensureKafkaCluster(state.dataDir)).toEqual(made)
})

test('a folder of three brokers stays one of three, and is not started with one', async () => {
  const made = await ensureKafkaCluster(state.dataDir, 3)
  expect(made.brokers).toBe(3)
  expect(await ensureKafkaCluster(state.dataDir)).toEqual(made)
  await expect(ensureKafkaCluster(state.dataDir, 1)).rejects.toThrow(/was made with 3 broker\(s\), not 1/)
})

test('a folder from before there was a choice has one broker', async () => {
  await mkdir(join(state.dataDir, 'kafka', 'data'), { recursive: true })
  await expect(ensureKafkaCluster(state.dataDir, 3)).rejects.toThrow(/was made with 1 broker/)
  expect(await ensureKafkaCluster(state.dataDir)).toMatchObject({ brokers: 1 })
})
