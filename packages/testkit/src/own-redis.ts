// A redis-server of a test's own, for what must not be done to the shared ones: stopping, flushing, filling, clustering.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@millrace/local-stack/listen'
import { tcpExchange } from '@millrace/local-stack/tcp-exchange'
import { eventually } from './eventually.ts'

export interface OwnRedis extends AsyncDisposable {
  readonly port: number
  /** `redis://127.0.0.1:<port>/0` */
  readonly url: string
  /** Freezes the process (SIGSTOP) and lets it go on (SIGCONT). */
  pause(): void
  resume(): void
  /** Ends the process as a crash does (SIGKILL). */
  kill(): void
}

const program = 'redis-server'

/**
 * Starts a redis-server on 127.0.0.1 without eviction, without files, with `args` besides. A sentinel needs a file that
 * it may rewrite: `settings`, its lines. Disposing ends it.
 */
export async function openOwnRedis(args: readonly string[] = [], settings?: readonly string[]): Promise<OwnRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'))
  const [port = 0] = await freePorts(1)
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--daemonize', 'no']
  const file = settings === undefined ? [] : [join(folder, 'redis.conf')]
  for (const path of file) await writeFile(path, `${settings?.join('\n')}\n`)
  const all = [...file, ...place, '--maxmemory-policy', 'noeviction', ...args]
  const server = spawn(program, all, { stdio: 'ignore' })
  const ended = once(server, 'exit')
  const end = async (): Promise<void> => {
    server.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await eventually('the redis-server answers', async () => {
      const answer = await tcpExchange(port, Buffer.from('PING\r\n'), (bytes) => bytes.includes('\r\n'))
      return answer.toString().startsWith('+PONG')
    })
  } catch (error) {
    await end()
    throw error
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    kill: () => void server.kill('SIGKILL'),
    [Symbol.asyncDispose]: end
  }
}
