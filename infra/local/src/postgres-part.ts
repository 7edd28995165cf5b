// PostgreSQL as a part, from the machine's own binaries. The cluster is made once, aside, and renamed when complete.
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, systemClock } from '@millrace/kernel'
import type { Part } from './part.ts'
import { exists, partialOf } from './partial.ts'
import type { PartContext } from './parts.ts'
import { postgresPlace } from './postgres-place.ts'
import type { PostgresPlace } from './postgres-place.ts'
import { endProcess, recordOf } from './process-record.ts'
import { runTool } from './run-tool.ts'
import { findPostgresBinaries } from './system-packages.ts'
import { tcpExchange } from './tcp-exchange.ts'

/** Name of the superuser and of the database of the stack. */
export const postgresName = 'millrace'

/** The PostgreSQL server of the stack. */
export function createPostgresPart({ dataDir, ports, secrets }: PartContext): Part {
  const port = ports.postgres
  return {
    name: 'postgres',
    port,
    ports: { postgres: port },
    // Fast shutdown: connections are closed, not waited for.
    stopSignal: 'SIGINT',
    startTimeoutMs: 60_000,
    stopTimeoutMs: 15_000,
    // After a SIGKILL the server's children hold its shared memory for a moment longer.
    startAttempts: 5,
    async prepare(signal) {
      const binaries = await findPostgresBinaries()
      if (binaries === undefined) throw new AppError('PIPE_STACK', 'PostgreSQL is not installed (initdb not found)')
      const place = await postgresPlace(dataDir, secrets.stackId)
      const cluster = join(place.folder, 'data')
      if (!(await exists(cluster))) await createCluster({ binaries, place, cluster, signal }, secrets.postgresPassword)
      await clearOldServer(cluster)
      const [file = '', ...args] = [...place.asUser, join(binaries, 'postgres'), '-D', cluster, ...serverSettings(port)]
      return { file, args, cwd: place.folder }
    },
    answers: () => postgresAnswers(port)
  }
}

function serverSettings(port: number): readonly string[] {
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=300',
    'timezone=UTC',
    'log_timezone=UTC',
    'log_min_error_statement=panic'
  ]
  return settings.flatMap((setting) => ['-c', setting])
}

interface ClusterTools {
  readonly binaries: string
  readonly place: PostgresPlace
  readonly cluster: string
  readonly signal: AbortSignal
}

async function createCluster({ binaries, place, cluster, signal }: ClusterTools, password: string): Promise<void> {
  const partial = await partialOf(cluster)
  await mkdir(place.folder, { recursive: true })
  const passwordFile = join(place.folder, 'initial-password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  const owner = await stat(place.folder)
  await chown(passwordFile, owner.uid, owner.gid)
  const run = (command: readonly string[], input?: string): Promise<string> => {
    const [file = '', ...args] = [...place.asUser, ...command]
    return runTool(file, args, { signal, cwd: place.folder, ...(input === undefined ? {} : { input }) })
  }
  try {
    const access = ['-U', postgresName, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
    const locale = ['--encoding=UTF8', '--locale=C', '--no-instructions']
    await run([join(binaries, 'initdb'), '-D', partial, ...access, ...locale])
    // The server's single-user mode needs neither a port nor a client.
    await run([join(binaries, 'postgres'), '--single', '-D', partial, 'postgres'], `CREATE DATABASE ${postgresName}\n`)
  } finally {
    await rm(passwordFile, { force: true })
  }
  await rename(partial, cluster)
}

/**
 * Ends a server that still runs on the cluster though no record names it, and removes the pid file of a dead one: the
 * pid in it may belong to another process of the same user by now, which PostgreSQL would take for its own.
 */
async function clearOldServer(cluster: string): Promise<void> {
  const file = join(cluster, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return
  const record = recordOf(Number.parseInt(text, 10))
  const command = record && (await readFile(`/proc/${record.pid}/cmdline`, 'utf8').catch(() => ''))
  if (record !== undefined && command?.split('\0').includes(cluster)) {
    await endProcess(record, { signal: 'SIGINT', timeoutMs: 10_000, clock: systemClock })
  }
  await rm(file, { force: true })
}

/** A startup message; a server that takes connections asks for the password, one that recovers refuses. */
async function postgresAnswers(port: number): Promise<boolean> {
  const answer = await tcpExchange(port, startupMessage(), (bytes) => bytes.length > 0)
  return answer.toString('latin1', 0, 1) === 'R'
}

function startupMessage(): Buffer {
  const body = Buffer.from(`\0\0\0\0\0\x03\0\0user\0${postgresName}\0database\0${postgresName}\0\0`, 'latin1')
  body.writeInt32BE(body.length, 0)
  return body
}
