// Builds behind an answer, with stores that say what the test wants and a filling that the test ends.
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { liveTiming } from '@millrace/aggregation/timing'
import { createSilentLogger } from '@millrace/observability'
import type { BuildDeps, Flipped } from '@millrace/operations/flip-epoch'
import type { EpochAdmin } from '@millrace/operations/rebuild'
import { createEpochBuilds } from './builds.ts'

const row = {
  project_id: 'shop',
  epoch: 2,
  start_offsets: ['0'],
  complete_from: new Date(0),
  reason: 'rebuild',
  state: 'building',
  created_at: new Date(0),
  created_by: 'test',
  changed_at: new Date(0),
  age_ms: 1
}

function open() {
  const query = async () => [row]
  const postgres = { query, transaction: async (fn: (tx: object) => Promise<unknown>) => await fn({ query }) }
  const epochs = {
    look: async () => ({ pointer: 1, epochs: new Map(), memory: { usedBytes: 1, maxBytes: 0 } }),
    beginRebuild: async () => ({ kind: 'ok' }),
    abort: async () => undefined,
    sweep: async () => ({ deletedKeys: 0, remaining: false })
  }
  const admin = { postgres, epochs, admin: {}, clock: createManualClock(), timing: liveTiming, actor: 'test' }
  const stopping = new AbortController()
  const filling: { deps: BuildDeps; done: PromiseWithResolvers<Flipped> }[] = []
  const builds = createEpochBuilds({
    admin: admin as unknown as EpochAdmin,
    open: async () => ({}) as BuildDeps,
    log: createSilentLogger(),
    signal: stopping.signal,
    async fill(deps) {
      const done = Promise.withResolvers<Flipped>()
      deps.signal?.addEventListener('abort', () => done.reject(new Error('aborted')))
      filling.push({ deps, done })
      return await done.promise
    }
  })
  return { builds, filling, last: async () => (await setImmediate(), filling.at(-1)) }
}

it('builds one at a time behind the answer, and tells how far it is and that it is in force', async () => {
  const { builds, last } = open()
  expect(await builds.resume('shop')).toMatchObject({ projectId: 'shop', epoch: 2, state: 'building' })
  await expect(builds.resume('blog')).rejects.toThrow("the live state of 'shop' is being built here; one at a time")
  const first = await last()
  const memory = { usedBytes: 1, maxBytes: 0 }
  first?.deps.onProgress?.({ epoch: 2, step: 'reading', records: 10n, remaining: 4n, memory })
  expect(builds.last('shop')).toMatchObject({ state: 'building', step: 'reading', remaining: 4n })
  first?.done.resolve({ projectId: 'shop', epoch: 2, completeFromMs: 0, sealedMs: 1, deletedKeys: 0 })
  await setImmediate()
  expect(builds.last('shop')).toMatchObject({ state: 'in-force', problem: undefined })
  expect(await builds.resume('blog')).toMatchObject({ projectId: 'blog', state: 'building' })
  await builds[Symbol.asyncDispose]()
})

it('tells why a build ended, and goes on with it', async () => {
  const { builds, last } = open()
  await builds.resume('shop')
  ;(await last())?.done.reject(new Error('Redis is full'))
  await setImmediate()
  expect(builds.last('shop')).toMatchObject({ state: 'interrupted', problem: 'Redis is full' })
  expect(await builds.resume('shop')).toMatchObject({ state: 'building', problem: undefined })
  await builds[Symbol.asyncDispose]()
})

it('stops filling what is given up', async () => {
  const { builds, filling, last } = open()
  await builds.resume('shop')
  const first = await last()
  expect(await builds.abort('shop')).toMatchObject({ epoch: 2, state: 'given-up', problem: undefined })
  expect(first?.deps.signal?.aborted).toBe(true)
  await builds.resume('shop')
  await last()
  expect(filling).toHaveLength(2)
  await builds[Symbol.asyncDispose]()
})
