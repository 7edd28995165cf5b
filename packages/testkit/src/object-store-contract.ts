// What every driver of the object store holds, as one suite for a folder and for S3: the names of the promises that are
// broken, so that it runs inside a test and inside a fault case.
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { AppError } from '@millrace/kernel'
import type { ObjectSource, ObjectStore } from '@millrace/stores/object-store'
import { unique } from './unique.ts'

type Promised = (store: ObjectStore, key: string) => Promise<boolean>

const source = (bytes: Buffer): ObjectSource => ({ bytes: bytes.byteLength, open: () => Readable.from([bytes]) })
const text = (value: string): ObjectSource => source(Buffer.from(value))
const errorCode = async (work: Promise<unknown>): Promise<string | undefined> =>
  await work.then(
    () => undefined,
    (error: unknown) => (error instanceof AppError ? error.code : String(error))
  )
const keysBelow = async (store: ObjectStore, prefix: string): Promise<string[]> =>
  (await Array.fromAsync(store.list(prefix))).map(({ key }) => key).toSorted()

/** Larger than one part of an upload. */
const large = randomBytes(20 * 1024 ** 2)

const promises: Readonly<Record<string, Promised>> = {
  'answers a ping': async (store) => (await errorCode(store.ping())) === undefined,
  'stores an object and gives its bytes back': async (store, key) =>
    (await store.put(key, text('bytes'))) === 'stored' && (await store.get(key)).toString() === 'bytes',
  'keeps the object that has the name already': async (store, key) => {
    await store.put(key, text('first'))
    return (await store.put(key, text('other'))) === 'exists' && (await store.get(key)).toString() === 'first'
  },
  'says so when an object of another size has the name': async (store, key) => {
    await store.put(key, text('first'))
    const code = await errorCode(store.put(key, text('longer than it')))
    return code === 'PIPE_OBJECTS_UNAVAILABLE' && (await store.get(key)).toString() === 'first'
  },
  'lets one of many win that store under one name at once': async (store, key) => {
    const outcomes = await Promise.all(['aa', 'bb', 'cc', 'dd'].map((value) => store.put(key, text(value))))
    return outcomes.toSorted().join() === 'exists,exists,exists,stored'
  },
  'stores a large object once, too': async (store, key) => {
    const outcomes = [await store.put(key, source(large)), await store.put(key, source(large))]
    return outcomes.join() === 'stored,exists' && (await store.get(key)).equals(large)
  },
  'shows nothing of an object whose bytes break off': async (store, key) => {
    const broken = { bytes: 10, open: () => Readable.from(breaking()) }
    const code = await errorCode(store.put(key, broken))
    return code === 'PIPE_OBJECTS_UNAVAILABLE' && (await store.stat(key)) === undefined
  },
  'tells size and age, and that there is none': async (store, key) => {
    await store.put(key, text('12345'))
    const found = await store.stat(key)
    const ageMs = Math.abs(Date.now() - (found?.modifiedAtMs ?? 0))
    return found?.bytes === 5 && ageMs < 120_000 && (await store.stat(`${key}-none`)) === undefined
  },
  'does not find what is not there': async (store, key) => (await errorCode(store.get(key))) === 'PIPE_NOT_FOUND',
  'lists what begins with a prefix, folders below included': async (store, key) => {
    const keys = [`${key}/a/1.x`, `${key}/a/2.x`, `${key}/b/3.x`]
    for (const each of keys) await store.put(each, text('x'))
    return (
      (await keysBelow(store, `${key}/`)).join() === keys.join() &&
      (await keysBelow(store, `${key}/a/`)).join() === keys.slice(0, 2).join() &&
      (await keysBelow(store, `${key}/c/`)).length === 0
    )
  },
  'removes an object, and again without complaint': async (store, key) => {
    await store.put(key, text('x'))
    await store.remove(key)
    await store.remove(key)
    return (await store.stat(key)) === undefined && (await store.put(key, text('y'))) === 'stored'
  },
  'gives up when it is told to': async (store, key) => {
    const code = await errorCode(store.put(key, text('x'), AbortSignal.abort(new Error('enough'))))
    return code === 'PIPE_OBJECTS_UNAVAILABLE'
  }
}

function* breaking(): Generator<Buffer> {
  yield Buffer.from('12345')
  throw new Error('the disk broke')
}

/** The promises that `store` breaks; none is as it should be. */
export async function brokenPromises(store: ObjectStore): Promise<string[]> {
  const broken: string[] = []
  for (const [name, holds] of Object.entries(promises)) {
    const held = await holds(store, unique('contract')).catch((error: unknown) => String(error))
    if (held !== true) broken.push(held === false ? name : `${name}: ${held}`)
  }
  return broken
}
