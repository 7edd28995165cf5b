import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { brokenPromises } from '@millrace/testkit/object-store-contract'
import { openObjectStore } from '../src/object-store.ts'
import type { ObjectStore } from '../src/object-store.ts'

let folder: string
let store: ObjectStore

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-objects-'))
  store = openObjectStore({ url: pathToFileURL(join(folder, 'new')).href, clock: systemClock, timeoutMs: 5_000 })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a folder keeps every promise of an object store', async () => {
  expect(await brokenPromises(store)).toEqual([])
})

it('a folder holds objects alone: nothing that was given up is left in it', async () => {
  const names = await readdir(folder, { recursive: true })
  expect(names.filter((name) => name.includes('.partial-'))).toEqual([])
})

it('a folder has no object outside of it', async () => {
  await expect(store.get('../x')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
  await expect(store.stat('a/../../x')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
})
