// A PgBouncer of a test's own in transaction mode: every transaction may run on another connection of the server, so
// whatever leans on a session breaks here.
import { chmod, chown, mkdtemp, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@millrace/local-stack/listen'
import { postgresPlace } from '@millrace/local-stack/postgres-place'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import { startOwnProcess } from './own-process.ts'

export interface OwnPgbouncer extends AsyncDisposable {
  /** The database of the server by way of the pooler. */
  readonly url: string
}

const program = 'pgbouncer'

/** Starts a pooler on 127.0.0.1 before the server of `databaseUrl`, with that many connections to it. Disposing ends it. */
export async function openOwnPgbouncer(databaseUrl: string, serverConnections: number): Promise<OwnPgbouncer> {
  const server = new URL(databaseUrl)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-pgbouncer-'))
  await chmod(folder, 0o755)
  // It refuses root as PostgreSQL does.
  const place = await postgresPlace(folder, 'own')
  const [port = 0] = await freePorts(1)
  const users = join(place.folder, 'users.txt')
  const settings = join(place.folder, 'pgbouncer.ini')
  const lines = [
    '[databases]',
    `* = host=${server.hostname} port=${server.port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${users}`,
    'pool_mode = transaction',
    `default_pool_size = ${serverConnections}`,
    'max_client_conn = 200'
  ]
  const owner = await stat(place.folder)
  for (const [file, text] of [
    [users, `"${server.username}" "${server.password}"`],
    [settings, lines.join('\n')]
  ] as const) {
    await writeFile(file, `${text}\n`, { mode: 0o600 })
    await chown(file, owner.uid, owner.gid)
  }
  const url = new URL(databaseUrl)
  url.port = String(port)
  await using postgres = await openPostgres({ url: url.href, poolSize: 1, log: createSilentLogger(), name: 'test' })
  const pooler = await startOwnProcess({
    name: program,
    command: [...place.asUser, program, settings],
    cwd: place.folder,
    folder,
    answers: () => postgres.ping().then(() => true)
  })
  return { url: url.href, [Symbol.asyncDispose]: () => pooler[Symbol.asyncDispose]() }
}
