// The three Redis roles as parts. Each role has the memory policy that its data needs; services refuse another one.
import { mkdir } from 'node:fs/promises'
import { layout } from './layout.ts'
import type { Part } from './part.ts'
import type { PartContext } from './parts.ts'
import { tcpExchange } from './tcp-exchange.ts'

export type RedisRole = 'dedup' | 'state' | 'cache'

const noEviction = ['--maxmemory-policy', 'noeviction']
const appendOnly = ['--appendonly', 'yes', '--appendfsync', 'everysec']
const policies: Readonly<Record<RedisRole, readonly string[]>> = {
  // A snapshot at an orderly end: ids that were seen are known after a restart.
  dedup: ['--maxmemory', '512mb', ...noEviction, '--appendonly', 'no', '--save', '3600 1'],
  state: ['--maxmemory', '1gb', ...noEviction, ...appendOnly, '--save', ''],
  cache: ['--maxmemory', '128mb', '--maxmemory-policy', 'allkeys-lru', '--appendonly', 'no', '--save', '']
}

/** The redis-server of one role. */
export function createRedisPart(role: RedisRole, { dataDir, ports }: PartContext): Part {
  const name = `redis-${role}` as const
  const folder = layout.part(dataDir, name)
  const port = ports[name]
  return {
    name,
    port,
    ports: { [name]: port },
    stopSignal: 'SIGTERM',
    startTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    startAttempts: 1,
    async prepare() {
      await mkdir(folder, { recursive: true })
      return { file: 'redis-server', args: redisArguments(role, { port, folder }), cwd: folder }
    },
    answers: () => redisAnswers(port)
  }
}

/** Command line of a role: 127.0.0.1 only, in the foreground, files below `folder`. */
export function redisArguments(role: RedisRole, { port, folder }: { port: number; folder: string }): readonly string[] {
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--daemonize', 'no']
  return [...place, ...policies[role], '--tcp-backlog', '128']
}

async function redisAnswers(port: number): Promise<boolean> {
  const answer = await tcpExchange(port, Buffer.from('PING\r\n'), (bytes) => bytes.includes('\r\n'))
  // While it reads its files it answers -LOADING.
  return answer.toString().startsWith('+PONG')
}
