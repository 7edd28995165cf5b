// A PostgreSQL of a test's own, and streaming replicas of it, for what must not be done to the shared one: replay that is
// paused, servers that die.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@millrace/local-stack/listen'
import { postgresPlace } from '@millrace/local-stack/postgres-place'
import type { PostgresPlace } from '@millrace/local-stack/postgres-place'
import { runTool } from '@millrace/local-stack/run-tool'
import { findPostgresBinaries } from '@millrace/local-stack/system-packages'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import { startOwnProcess } from './own-process.ts'

export interface OwnPostgres extends AsyncDisposable {
  /** Of its superuser, without a password. */
  readonly url: string
  /** A server that follows this one; it has everything by the time it is returned. */
  replica(): Promise<OwnPostgres>
  /** Ends the server and its connections at once, as a crash does. */
  kill(): Promise<void>
}

/** Starts a server on 127.0.0.1 whose files live as long as it does. Disposing ends it, and its replicas before. */
export async function openOwnPostgres(): Promise<OwnPostgres> {
  const binaries = await findPostgresBinaries()
  if (binaries === undefined) throw new Error('PostgreSQL is not installed (initdb not found)')
  const folder = await mkdtemp(join(tmpdir(), 'millrace-postgres-'))
  // The server's user must get through, whoever made the folder.
  await chmod(folder, 0o755)
  await using opening = new AsyncDisposableStack()
  opening.defer(() => rm(folder, { recursive: true, force: true }))
  const place = await postgresPlace(folder, 'own')
  const cluster = join(place.folder, 'data')
  const options = ['--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
  await asUser(place, [join(binaries, 'initdb'), '-D', cluster, '-U', user, ...options])
  const server = opening.use(await serve(binaries, place, cluster))
  const ends = opening.move()
  const replicas = new AsyncDisposableStack()
  let copies = 0
  return {
    ...server,
    async replica() {
      const copy = join(place.folder, `replica-${++copies}`)
      const from = ['-h', '127.0.0.1', '-p', String(server.port), '-U', user]
      await asUser(place, [join(binaries, 'pg_basebackup'), ...from, '-D', copy, '-R', '-c', 'fast', '--no-sync'])
      return replicas.use(await serve(binaries, place, copy))
    },
    [Symbol.asyncDispose]: async () => {
      await replicas.disposeAsync()
      await ends.disposeAsync()
    }
  }
}

const user = 'millrace'

async function asUser(place: PostgresPlace, command: readonly string[]): Promise<void> {
  const [file = '', ...args] = [...place.asUser, ...command]
  await runTool(file, args, { signal: AbortSignal.timeout(60_000), cwd: place.folder })
}

async function serve(
  binaries: string,
  place: PostgresPlace,
  cluster: string
): Promise<OwnPostgres & { readonly port: number }> {
  const [port = 0] = await freePorts(1)
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
    'timezone=UTC'
  ]
  const url = `postgres://${user}@127.0.0.1:${port}/postgres`
  await using postgres = await openPostgres({ url, poolSize: 1, log: createSilentLogger(), name: 'test' })
  const server = await startOwnProcess({
    name: 'PostgreSQL',
    command: [...place.asUser, join(binaries, 'postgres'), '-D', cluster, ...settings.flatMap((each) => ['-c', each])],
    cwd: place.folder,
    // Immediate shutdown: the server takes its children with it.
    ending: 'SIGQUIT',
    answers: () => postgres.ping().then(() => true)
  })
  return {
    port,
    url,
    kill: () => server.end(),
    replica: () => Promise.reject(new Error('a replica of a replica is not made here')),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}
