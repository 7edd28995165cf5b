// Objects in a bucket of anything that speaks S3. Conditional writes (`If-None-Match: *`) keep a taken key as it is;
// servers that ignore the header replace an object by the same bytes, since keys carry the hash of their content.
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  S3Client,
  paginateListObjectsV2
} from '@aws-sdk/client-s3'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { AppError, toError } from '@millrace/kernel'
import type { ObjectStore, StoredObject } from './object-store.ts'

/** Parts of one object in memory at once: partBytes * partsAtOnce. */
const partBytes = 8 * 1024 ** 2
const partsAtOnce = 2

/** What an `s3:` URL says. */
export interface S3Place {
  readonly bucket: string
  /** Empty, or ends in a slash. */
  readonly prefix: string
  readonly config: S3ClientConfig
}

const parameters = ['region', 'endpoint', 'path-style', 'checksums'] as const

/** Reads an `s3:` URL. Throws PIPE_CONFIG_INVALID naming what it does not know; never prints the keys. */
export function parseS3Url(url: URL): S3Place {
  const refuse = (problem: string): never => {
    throw new AppError('PIPE_CONFIG_INVALID', `object store: ${problem}`)
  }
  for (const name of url.searchParams.keys())
    if (!parameters.some((known) => known === name))
      refuse(`unknown parameter '${name}'; one of ${parameters.join(', ')}`)
  if (url.hostname === '') refuse('an s3: URL needs a bucket: s3://bucket/prefix')
  const pathStyle = url.searchParams.get('path-style') ?? 'false'
  if (pathStyle !== 'true' && pathStyle !== 'false') refuse('path-style is true or false')
  const checksums = url.searchParams.get('checksums') ?? 'when-supported'
  if (checksums !== 'when-supported' && checksums !== 'when-required')
    refuse('checksums is when-supported or when-required')
  if ((url.username === '') !== (url.password === '')) refuse('an access key needs its secret, and the other way round')
  const endpoint = url.searchParams.get('endpoint')
  const checksum = checksums === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED'
  const path = url.pathname.replace(/^\/+|\/+$/g, '')
  return {
    bucket: url.hostname,
    prefix: path === '' ? '' : `${decodeURIComponent(path)}/`,
    config: {
      region: url.searchParams.get('region') ?? 'us-east-1',
      forcePathStyle: pathStyle === 'true',
      requestChecksumCalculation: checksum,
      responseChecksumValidation: checksum,
      ...(endpoint === null ? {} : { endpoint }),
      ...(url.username === ''
        ? {}
        : {
            credentials: {
              accessKeyId: decodeURIComponent(url.username),
              secretAccessKey: decodeURIComponent(url.password)
            }
          })
    }
  }
}

/** The store in the bucket of an `s3:` URL. Throws PIPE_CONFIG_INVALID. */
export function openS3Store({ url, timeoutMs }: { readonly url: URL; readonly timeoutMs: number }): ObjectStore {
  const { bucket, prefix, config } = parseS3Url(url)
  const client = new S3Client({
    ...config,
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: timeoutMs, throwOnRequestTimeout: true }
  })
  const place = (key: string) => ({ Bucket: bucket, Key: prefix + key })
  const statOf = async (key: string, signal?: AbortSignal): Promise<StoredObject | undefined> => {
    try {
      const found = await client.send(new HeadObjectCommand(place(key)), abortable(signal))
      return { key, bytes: found.ContentLength ?? 0, modifiedAtMs: found.LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw toStoreError(error, `look at ${key}`)
    }
  }
  return {
    async put(key, source, signal) {
      try {
        await upload(client, { ...place(key), Body: source.open(), IfNoneMatch: '*' }, signal)
        return 'stored'
      } catch (error) {
        if (statusOf(error) !== 412) throw toStoreError(error, `store ${key}`)
      }
      const found = await statOf(key, signal)
      if (found?.bytes === source.bytes) return 'exists'
      throw new AppError('PIPE_OBJECTS_UNAVAILABLE', `object store: ${key} is taken by ${found?.bytes ?? 'no'} bytes`)
    },
    async get(key, signal) {
      try {
        const found = await client.send(new GetObjectCommand(place(key)), abortable(signal))
        return Buffer.from((await found.Body?.transformToByteArray()) ?? [])
      } catch (error) {
        if (statusOf(error) === 404) throw new AppError('PIPE_NOT_FOUND', `object store: there is no ${key}`)
        throw toStoreError(error, `read ${key}`)
      }
    },
    stat: statOf,
    async *list(below) {
      try {
        for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix + below })) {
          for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
            yield { key: Key.slice(prefix.length), bytes: Size, modifiedAtMs: LastModified?.getTime() ?? 0 }
        }
      } catch (error) {
        throw toStoreError(error, `list ${below}`)
      }
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand(place(key))).catch((error: unknown) => {
        throw toStoreError(error, `remove ${key}`)
      })
    },
    async ping() {
      await client.send(new HeadBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
        throw toStoreError(error, `reach bucket ${bucket}`)
      })
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
    }
  }
}

async function upload(
  client: S3Client,
  params: ConstructorParameters<typeof Upload>[0]['params'],
  signal: AbortSignal | undefined
): Promise<void> {
  const work = new Upload({ client, params, partSize: partBytes, queueSize: partsAtOnce })
  const abort = (): void => void work.abort()
  if (signal?.aborted === true) throw signal.reason as Error
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await work.done()
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

function abortable(signal: AbortSignal | undefined) {
  return signal === undefined ? {} : { abortSignal: signal }
}

/** HTTP status of an answer; undefined when there was none. */
function statusOf(error: unknown): number | undefined {
  const metadata: unknown = error instanceof Error ? Reflect.get(error, '$metadata') : undefined
  const status: unknown =
    typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'httpStatusCode') : undefined
  return typeof status === 'number' ? status : undefined
}

function toStoreError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const error = toError(thrown)
  const status = statusOf(error)
  return new AppError('PIPE_OBJECTS_UNAVAILABLE', `object store: ${what}: ${error.name}: ${error.message}`, {
    cause: error,
    details: status === undefined ? {} : { status }
  })
}
