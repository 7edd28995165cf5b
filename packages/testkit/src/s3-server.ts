// An S3 server for tests: moto, which honours conditional writes of single and of multipart objects. From PyPI into the
// folder of tools, once; the server keeps its objects in memory and is gone with its process.
import { spawn } from 'node:child_process'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@millrace/kernel'
import { toolsFolder } from '@millrace/local-stack/layout'
import { freePorts } from '@millrace/local-stack/listen'
import { exists, partialOf } from '@millrace/local-stack/partial'
import { runTool } from '@millrace/local-stack/run-tool'
import { eventually } from './eventually.ts'

const version = '5.2.1'

export interface S3Server extends AsyncDisposable {
  readonly port: number
  /** URL of the object store in `bucket`, which is there, as a client at `port` (default: its own) sees it. */
  url(bucket: string, port?: number): string
}

export interface S3ServerOptions {
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Starts the server on a free port, with `buckets`; the first time gets it. Throws PIPE_STACK when that fails. */
export async function startS3Server(buckets: readonly string[], { say, signal }: S3ServerOptions): Promise<S3Server> {
  const folder = await motoFolder(say, signal)
  const [port = 0] = await freePorts(1)
  const child = spawn('python3', ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    env: { PATH: process.env['PATH'], PYTHONPATH: folder },
    stdio: 'ignore'
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  try {
    for (const bucket of buckets)
      await eventually(
        `bucket ${bucket}`,
        async () => (await fetch(`http://127.0.0.1:${port}/${bucket}`, { method: 'PUT', headers: signedAs })).ok,
        { timeoutMs: 30_000, intervalMs: 200 }
      )
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    port,
    url: (bucket, at = port) =>
      `s3://test:test@${bucket}/files?path-style=true&region=us-east-1&endpoint=${encodeURIComponent(`http://127.0.0.1:${at}`)}`,
    [Symbol.asyncDispose]: dispose
  }
}

/** moto finds the service in the scope of the signature and does not check the rest. */
const signedAs = {
  authorization: 'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0'
}

async function motoFolder(say: (line: string) => void, signal: AbortSignal): Promise<string> {
  const folder = join(toolsFolder, `moto-${version}`)
  if (await exists(folder)) return folder
  say(`getting moto ${version} from PyPI, an S3 server for these tests`)
  const partial = await partialOf(folder)
  await mkdir(partial, { recursive: true })
  await runTool('python3', ['-m', 'pip', 'install', '--quiet', '--target', partial, `moto[s3,server]==${version}`], {
    signal
  })
  await rename(partial, folder).catch(async (error: unknown) => {
    await rm(partial, { recursive: true, force: true })
    if (!(await exists(folder))) throw new AppError('PIPE_STACK', `could not create ${folder}`, { cause: error })
  })
  return folder
}
