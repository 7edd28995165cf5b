// Objects as files of a folder. An object is written under a name of its own, flushed to the disk, and linked under its
// key: the link either makes the whole object visible or finds the key taken. Names that begin with a dot are in the
// making; those of a writer that died are swept away a day later.
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, readFile, readdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { ObjectSource, ObjectStore, StoredObject } from './object-store.ts'

const partial = '.partial-'
const partialKeptMs = 86_400_000

/** The store in the folder of a `file:` URL; the folder is made with its first object. */
export function openFileStore({ url, clock }: { readonly url: URL; readonly clock: Clock }): ObjectStore {
  const root = resolve(fileURLToPath(url))
  const pathOf = (key: string): string => {
    const path = resolve(root, ...key.split('/'))
    if (key === '' || !path.startsWith(root + sep))
      throw new AppError('PIPE_INVALID_INPUT', `object store: '${key}' is no key`)
    return path
  }
  const statOf = async (key: string): Promise<StoredObject | undefined> => {
    const found = await orMissing(stat(pathOf(key)), key)
    if (found === undefined || !found.isFile()) return undefined
    return { key, bytes: found.size, modifiedAtMs: found.mtimeMs }
  }
  return {
    async put(key, source, signal) {
      try {
        const outcome = await putFile(pathOf(key), source, signal)
        if (outcome === 'stored') return outcome
      } catch (error) {
        throw toStoreError(error, `store ${key}`)
      }
      const found = await statOf(key)
      if (found?.bytes === source.bytes) return 'exists'
      throw new AppError('PIPE_OBJECTS_UNAVAILABLE', `object store: ${key} is taken by ${found?.bytes ?? 'no'} bytes`)
    },
    async get(key, signal) {
      const bytes = await orMissing(readFile(pathOf(key), { signal }), key)
      if (bytes === undefined) throw new AppError('PIPE_NOT_FOUND', `object store: there is no ${key}`)
      return bytes
    },
    stat: (key) => statOf(key),
    list: (prefix) => listFiles(root, prefix, clock),
    async remove(key) {
      await orMissing(unlink(pathOf(key)), key)
    },
    async ping() {
      await mkdir(root, { recursive: true }).catch((error: unknown) => {
        throw toStoreError(error, 'reach the folder')
      })
    },
    async [Symbol.asyncDispose]() {}
  }
}

async function putFile(path: string, source: ObjectSource, signal?: AbortSignal): Promise<'stored' | 'exists'> {
  const folder = dirname(path)
  await makeFolder(folder)
  const temporary = join(folder, `${partial}${randomUUID()}`)
  try {
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(source.open(), signal === undefined ? {} : { signal })
      const { size } = await file.stat()
      if (size !== source.bytes) throw new Error(`${size} of ${source.bytes} bytes were written`)
      await file.sync()
    } finally {
      await file.close()
    }
    return await linkOnce(temporary, path)
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

/** Makes `folder` and sees to it that its own entry, and those of folders made on the way, are on the disk. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

async function linkOnce(temporary: string, path: string): Promise<'stored' | 'exists'> {
  try {
    await link(temporary, path)
    return 'stored'
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return 'exists'
    throw error
  } finally {
    // Also when it exists: another writer may have made the link and died before this.
    await syncFolder(dirname(path))
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function* listFiles(root: string, prefix: string, clock: Clock): AsyncIterable<StoredObject> {
  const start = join(root, ...prefix.split('/').slice(0, -1))
  const folders = [start]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = (await orMissing(readdir(folder, { withFileTypes: true }), folder)) ?? []
    for (const entry of entries) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) {
        folders.push(path)
        continue
      }
      const found = await orMissing(stat(path), path)
      if (found === undefined) continue
      if (entry.name.startsWith(partial)) {
        if (clock.now() - found.mtimeMs > partialKeptMs) await unlink(path).catch(() => {})
        continue
      }
      const key = relative(root, path).split(sep).join('/')
      if (key.startsWith(prefix)) yield { key, bytes: found.size, modifiedAtMs: found.mtimeMs }
    }
  }
}

/** Undefined when there is nothing under that name. */
async function orMissing<T>(promise: Promise<T>, what: string): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw toStoreError(error, what)
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined
}

function toStoreError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const error = toError(thrown)
  const code = codeOf(error)
  return new AppError('PIPE_OBJECTS_UNAVAILABLE', `object store: ${what}: ${error.message}`, {
    cause: error,
    details: typeof code === 'string' ? { errno: code } : {}
  })
}
