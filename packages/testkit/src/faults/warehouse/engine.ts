// A ClickHouse engine of one's own, to be killed or to run out of disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const engineMain = fileURLToPath(new URL('../../../../../infra/local/src/clickhouse-engine/main.ts', import.meta.url))

export interface Engine extends AsyncDisposable {
  readonly url: string
  readonly port: number
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
}

/** Starts an engine; it answers when this resolves. Throws when it ends before. */
export async function startEngine({ settings, data, port = 0 }: EngineOptions): Promise<Engine> {
  const account = { user: 'millrace', password: 'test' }
  writeFileSync(settings, JSON.stringify({ ...account, port, dataFolder: data }))
  const environment = ['-u', 'NODE_OPTIONS', 'UV_THREADPOOL_SIZE=20']
  const child = spawn('env', [...environment, process.execPath, engineMain, settings], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const exited = once(child, 'exit')
  const first = (await Promise.race([once(child.stdout, 'data'), exited])) as readonly unknown[]
  const told = /^ready (\d+)/.exec(String(first[0]))?.[1]
  if (told === undefined) throw new Error(`an engine did not start: ${String(first[0])}`)
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  return {
    url: `http://${account.user}:${account.password}@127.0.0.1:${told}/app`,
    port: Number(told),
    kill,
    [Symbol.asyncDispose]: kill
  }
}
