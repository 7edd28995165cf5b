// A ClickHouse engine server of a test's own, for what must not be done to the shared one: freezing and killing it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface OwnClickhouse extends AsyncDisposable {
  /** With user, password and the database `default`. */
  readonly url: string
  /** Freezes the process (SIGSTOP) and lets it go on (SIGCONT). */
  pause(): void
  resume(): void
  /** Ends the process as a crash does (SIGKILL). */
  kill(): Promise<void>
}

/** Starts an engine on an empty folder on 127.0.0.1, with the users file `users` if there is one. Disposing ends it. */
export async function openOwnClickhouse(users?: string): Promise<OwnClickhouse> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-clickhouse-'))
  const settings = join(folder, 'server.json')
  const account = { user: 'test', password: 'test' }
  await writeFile(settings, JSON.stringify({ ...account, dataFolder: folder, port: 0, users }))
  const main = fileURLToPath(import.meta.resolve('@millrace/local-stack/clickhouse-engine/main'))
  const server = spawn(process.execPath, [main, settings], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const ended = once(server, 'exit')
  const kill = async (): Promise<void> => {
    server.kill('SIGKILL')
    await ended
  }
  const end = async (): Promise<void> => {
    await kill()
    await rm(folder, { recursive: true, force: true })
  }
  const line = once(createInterface(server.stdout), 'line').then(([text]) => String(text))
  const first = await Promise.race([line, ended.then(() => 'it ended')])
  const port = /^ready (\d+)$/.exec(first)?.[1]
  if (port === undefined) {
    await end()
    throw new Error(`the engine did not start: ${first}`)
  }
  return {
    url: `http://test:test@127.0.0.1:${port}/default`,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    kill,
    [Symbol.asyncDispose]: end
  }
}
