// Where finished files are kept. One port, two drivers that pass one contract suite: a folder (`file:`) and anything that
// speaks S3 (`s3:`). Objects are written once and never changed; a name that is taken stays as it is.
import type { Readable } from 'node:stream'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { openFileStore } from './object-store-file.ts'
import { openS3Store } from './object-store-s3.ts'

/** The bytes of an object to store; read from the start at every attempt. */
export interface ObjectSource {
  readonly bytes: number
  readonly open: () => Readable
}

/** What the store says of one object. */
export interface StoredObject {
  readonly key: string
  readonly bytes: number
  readonly modifiedAtMs: number
}

/**
 * Keys are relative, parts separated by `/`. Every call throws PIPE_OBJECTS_UNAVAILABLE when the store does not answer,
 * refuses, or is out of space: whatever the cause, the same call succeeds once a person or the store has mended it.
 */
export interface ObjectStore extends AsyncDisposable {
  /**
   * Stores the object unless one of this key is there: `stored` or `exists`. Nobody ever sees a part of it, and when it
   * resolved the object outlives a crash of the store. After an error it may be there or not: put it again. An object of
   * another size under this key is an error.
   */
  put(key: string, source: ObjectSource, signal?: AbortSignal): Promise<'stored' | 'exists'>
  /** All bytes of an object; throws PIPE_NOT_FOUND. */
  get(key: string, signal?: AbortSignal): Promise<Buffer>
  /** Size and age of an object, undefined when there is none. */
  stat(key: string, signal?: AbortSignal): Promise<StoredObject | undefined>
  /** Objects whose key starts with `prefix`, in no particular order. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Removes an object; none under this key is fine. */
  remove(key: string): Promise<void>
  /** Resolves when the store answers. */
  ping(): Promise<void>
}

export interface ObjectStoreOptions {
  /**
   * `file:///folder`, or `s3://[accessKeyId:secret@]bucket[/prefix][?region=..&endpoint=..&path-style=true&
   * checksums=when-required]`. Without keys in it the S3 driver takes them as AWS tools do.
   */
  readonly url: string
  readonly clock: Clock
  /** Longest wait for an answer of the store, and for one part of a large object. */
  readonly timeoutMs: number
}

/** Opens the store of `url`; nothing is contacted yet. Throws PIPE_CONFIG_INVALID for a URL that it does not know. */
export function openObjectStore({ url, clock, timeoutMs }: ObjectStoreOptions): ObjectStore {
  const parsed = parseUrl(url)
  switch (parsed.protocol) {
    case 'file:':
      return openFileStore({ url: parsed, clock })
    case 's3:':
      return openS3Store({ url: parsed, timeoutMs })
    default:
      throw new AppError('PIPE_CONFIG_INVALID', `object store: '${parsed.protocol}' is neither file: nor s3:`)
  }
}

function parseUrl(url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw new AppError('PIPE_CONFIG_INVALID', 'object store: the URL cannot be read')
  }
}
