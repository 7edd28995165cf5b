// A ClickHouse engine server of a test's own, for what must not be done to the shared one: freezing, killing, filling its disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(import.meta.resolve('@millrace/local-stack/clickhouse-engine/main'))
const account = { user: 'millrace', password: 'test' }

export interface OwnClickhouse extends AsyncDisposable {
  /** With user, password and the database `default`. */
  readonly url: string
  /** Freezes the process (SIGSTOP) and lets it go on (SIGCONT). */
  pause(): void
  resume(): void
  /** Ends the process as a crash does (SIGKILL). */
  kill(): Promise<void>
}

export interface Engine extends AsyncDisposable {
  /** With user, password and the database `app`. */
  readonly url: string
  readonly port: number
  send(signal: NodeJS.Signals): void
  /** Ends it by SIGKILL. */
  kill(): Promise<void>
}

export interface EngineOptions {
  /** File for its settings. */
  readonly settings: string
  /** Folder of its data; only one engine at a time may have it. */
  readonly data: string
  /** Default: a free one. */
  readonly port?: number
  /** The users file as XML; default: that of the local stack. */
  readonly users?: string | undefined
}

/** Starts an engine on files of the caller; it answers when this resolves. Throws when it ends before. */
export async function startEngine({ settings, data, port = 0, users }: EngineOptions): Promise<Engine> {
  await writeFile(settings, JSON.stringify({ ...account, dataFolder: data, port, users }))
  // The engine runs queries on the thread pool of libuv, whose size is read once, before any code of ours.
  const environment = ['-u', 'NODE_OPTIONS', 'UV_THREADPOOL_SIZE=20']
  const child = spawn('env', [...environment, process.execPath, main, settings], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  const line = once(createInterface(child.stdout), 'line').then(([text]) => String(text))
  const first = await Promise.race([line, exited.then(() => 'it ended')])
  const told = /^ready (\d+)$/.exec(first)?.[1]
  if (told === undefined) {
    await kill()
    throw new Error(`the engine did not start: ${first}`)
  }
  return {
    url: `http://${account.user}:${account.password}@127.0.0.1:${told}/app`,
    port: Number(told),
    send: (signal) => void child.kill(signal),
    kill,
    [Symbol.asyncDispose]: kill
  }
}

/** Starts an engine on an empty folder on 127.0.0.1, with the users file `users` if there is one. Disposing ends it. */
export async function openOwnClickhouse(users?: string): Promise<OwnClickhouse> {
  await using opening = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'millrace-clickhouse-'))
  opening.defer(() => rm(folder, { recursive: true, force: true }))
  const engine = opening.use(await startEngine({ settings: join(folder, 'server.json'), data: folder, users }))
  const opened = opening.move()
  const url = new URL(engine.url)
  url.pathname = '/default'
  return {
    url: url.href,
    pause: () => engine.send('SIGSTOP'),
    resume: () => engine.send('SIGCONT'),
    kill: () => engine.kill(),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
