// The promise of `track` against the real thing: a gateway that is killed and comes back under the client. What
// resolved is in the log and in SQL exactly once; what did not is reported.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { countEventIds } from '@millrace/testkit/faults/evidence'
import { scanTopic } from '@millrace/testkit/faults/scan-topic'
import { openPipeline } from '@millrace/testkit/pipeline'
import type { Pipeline, TestProject } from '@millrace/testkit/pipeline'
import { createClient } from '../src/index.ts'
import type { Client, ClientOptions, Receipt, TrackError } from '../src/index.ts'

let folder: string
let pipeline: Pipeline

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-client-'))
  const env = { DEDUP_LEASE_MS: '15s' }
  pipeline = await openPipeline({ endpoints: testEndpoints(), folder, only: ['gateway', 'loader', 'query'], env })
}, 120_000)
afterAll(async () => {
  await pipeline[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const gateway = () => pipeline.services.service('gateway')

interface Opened {
  readonly client: Client
  readonly drops: readonly TrackError[]
  /** Path and status of each request that was answered. */
  readonly answers: readonly { readonly path: string; readonly status: number }[]
}

function open(project: Pick<TestProject, 'writeKey'>, options: Partial<ClientOptions> = {}): Opened {
  const drops: TrackError[] = []
  const answers: { path: string; status: number }[] = []
  const client = createClient({
    url: gateway().url,
    writeKey: project.writeKey,
    onDrop: (error) => void drops.push(error),
    runtime: {
      fetch: async (url, init) => {
        const response = await fetch(url, init)
        answers.push({ path: new URL(url).pathname, status: response.status })
        return response
      }
    },
    ...options
  })
  return { client, drops, answers }
}

interface Settled {
  readonly stored: readonly Receipt[]
  readonly failed: readonly TrackError[]
}

/** Tracks `count` events over `overMs`; what became of each. */
async function trackOver(client: Client, count: number, overMs: number): Promise<Settled> {
  const stored: Receipt[] = []
  const failed: TrackError[] = []
  const all: Promise<void>[] = []
  const startedAt = systemClock.monotonic()
  for (let index = 0; index < count; index++) {
    const dueMs = startedAt + (index * overMs) / count - systemClock.monotonic()
    if (dueMs > 0) await systemClock.sleep(dueMs)
    const settled = client.track('counted', { index }, { userId: `u${index % 10}` }).then(
      (receipt) => void stored.push(receipt),
      (error: TrackError) => void failed.push(error)
    )
    all.push(settled)
  }
  void client.flush()
  await Promise.all(all)
  return { stored, failed }
}

/** Kills the gateway after each `afterMs` and waits for the next one, `times` times. */
async function killRepeatedly(times: number, afterMs: number): Promise<void> {
  const before = gateway().starts
  for (let kills = 1; kills <= times; kills++) {
    await systemClock.sleep(afterMs)
    gateway().kill('SIGKILL')
    await eventually('another gateway', () => gateway().starts === before + kills, { timeoutMs: 30_000 })
    await gateway().ready()
  }
}

/** Expects every stored event in the log and once in SQL, and nothing there that was never tracked. */
async function expectStoredOnce(project: TestProject, { stored, failed }: Settled): Promise<void> {
  const ids = stored.map(({ eventId }) => eventId)
  const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }
  const log = countEventIds(await scanTopic(scan, rawTopic(project.projectId)))
  expect(ids.filter((eventId) => !log.has(eventId))).toEqual([])
  const visible = await eventually(
    'every record of the log in SQL',
    async () => {
      const shown = await pipeline.visibleIds(project.projectId)
      return [...log.keys()].every((eventId) => shown.has(eventId)) && shown
    },
    { timeoutMs: 60_000, intervalMs: 500 }
  )
  expect([...visible].filter(([, times]) => times !== 1)).toEqual([])
  const known = new Set([...ids, ...failed.map(({ eventId }) => eventId)])
  expect([...visible.keys()].filter((eventId) => !known.has(eventId))).toEqual([])
  const { rows } = await pipeline.query(project, 'SELECT count() FROM events')
  expect(Number(rows[0]?.[0])).toBe(visible.size)
}

describe('clients whose gateway is killed and comes back, three times', () => {
  interface Kind {
    readonly name: string
    readonly path: string
    readonly project: TestProject
    readonly opened: Opened
    readonly settled: Settled
  }
  const kinds: Kind[] = []

  // Under the same kills: most of the time they wait for leases of gateways that died.
  beforeAll(async () => {
    const wanted = [
      ['in batches', '/v1/events/batch', { retries: Infinity }],
      ['one by one', '/v1/events', { retries: Infinity, batch: false }],
      ['with three retries', '/v1/events/batch', {}]
    ] as const
    const running = wanted.map(async ([name, path, options]): Promise<Kind> => {
      const project = await pipeline.createProject('client')
      const opened = open(project, { flushAfterMs: 20, ...options })
      const settled = await trackOver(opened.client, 2_000, 10_000)
      await opened.client.close()
      return { name, path, project, opened, settled }
    })
    await killRepeatedly(3, 1_500)
    kinds.push(...(await Promise.all(running)))
  }, 200_000)

  it.each(['in batches', 'one by one'])(
    'have every event that resolved in the log, and in SQL exactly once: %s',
    async (name) => {
      const { path, project, opened, settled } = kinds.find((kind) => kind.name === name) ?? expect.fail(name)
      const { stored, failed } = settled
      expect({ stored: stored.length, failed, drops: opened.drops }).toEqual({ stored: 2_000, failed: [], drops: [] })
      expect(new Set(stored.map(({ eventId }) => eventId)).size).toBe(2_000)
      expect(opened.answers.filter((answer) => answer.path === path).length).toBeGreaterThan(10)
      await expectStoredOnce(project, settled)
    },
    100_000
  )

  it('with three retries settle everything: stored and in SQL once, or reported', async () => {
    const { project, opened, settled } = kinds.find(({ name }) => name === 'with three retries') ?? expect.fail()
    const { stored, failed } = settled
    const idsOf = (errors: readonly TrackError[]) => errors.map(({ eventId }) => eventId).toSorted()
    expect(stored.length + failed.length).toBe(2_000)
    expect(idsOf(opened.drops)).toEqual(idsOf(failed))
    expect(failed.filter(({ reason }) => reason !== 'retries_exhausted')).toEqual([])
    expect(stored.length).toBeGreaterThan(1_000)
    await expectStoredOnce(project, settled)
  }, 100_000)
})

describe('a client and a gateway that runs', () => {
  it('agree on what is stored, what was stored before, and what is refused', async () => {
    const project = await pipeline.createProject('client')
    const { client } = open(project, { flushAfterMs: 5 })
    const options = { eventId: 'order-1', userId: 'u1', anonymousId: 'a1' }
    expect(await client.track('purchase', { amount: 3 }, options)).toEqual({ eventId: 'order-1', status: 'accepted' })
    expect(await client.track('purchase', { amount: 3 }, options)).toEqual({ eventId: 'order-1', status: 'duplicate' })
    await expect(client.track('two words')).rejects.toMatchObject({ reason: 'rejected', pointer: '/eventType' })
    const linked = await client.identify('u1', { plan: 'pro' }, { anonymousId: 'a1' })
    await client.close()
    await expectStoredOnce(project, { stored: [{ eventId: 'order-1', status: 'accepted' }, linked], failed: [] })
    const { rows } = await pipeline.query(
      project,
      "SELECT eventType, userId, anonymousId, libraryName FROM events WHERE eventType = 'identify'"
    )
    expect(rows).toEqual([['identify', 'u1', 'a1', '@millrace/client']])
  })

  it('settle each event of a batch by itself, in one request', async () => {
    const project = await pipeline.createProject('client')
    const { client, answers } = open(project, { flushAfterMs: 50 })
    await client.track('purchase', {}, { eventId: 'old' })
    const outcomes = await Promise.allSettled([
      client.track('purchase', {}, { eventId: 'old' }),
      client.track('two words', {}, { eventId: 'bad' }),
      client.track('purchase', {}, { eventId: 'new' })
    ])
    await client.close()
    expect(outcomes).toMatchObject([
      { value: { eventId: 'old', status: 'duplicate' } },
      { reason: { reason: 'rejected', eventId: 'bad', pointer: '/eventType' } },
      { value: { eventId: 'new', status: 'accepted' } }
    ])
    expect(answers).toEqual([
      { path: '/v1/events', status: 202 },
      { path: '/v1/events/batch', status: 207 }
    ])
  })

  it('agree that a wrong key is no reason to send again', async () => {
    const { client, drops, answers } = open({ writeKey: 'mr_w_wrong' }, { flushAfterMs: 5 })
    await expect(client.track('x')).rejects.toMatchObject({ reason: 'rejected', code: 'unauthorized' })
    await client.close()
    expect(drops).toHaveLength(1)
    expect(answers).toHaveLength(1)
  })
})
