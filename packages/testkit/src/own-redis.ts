// A redis-server of a test's own, for what must not be done to the shared ones: stopping, flushing, filling, clustering.
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@millrace/local-stack/listen'
import { tcpExchange } from '@millrace/local-stack/tcp-exchange'
import { startOwnProcess } from './own-process.ts'

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
  const server = await startOwnProcess({
    name: program,
    command: [program, ...file, ...place, '--maxmemory-policy', 'noeviction', ...args],
    folder,
    async answers() {
      const answer = await tcpExchange(port, Buffer.from('PING\r\n'), (bytes) => bytes.includes('\r\n'))
      return answer.toString().startsWith('+PONG')
    }
  })
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    pause: () => server.send('SIGSTOP'),
    resume: () => server.send('SIGCONT'),
    kill: () => server.send('SIGKILL'),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}
