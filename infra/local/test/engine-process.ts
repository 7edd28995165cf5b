// Starts the engine server as another process, the way the launcher does, for tests that need only it.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/clickhouse-engine/main.ts', import.meta.url))

export interface EngineProcess {
  readonly url: string
  readonly child: ChildProcess
  /** Ends the process with `signal` and waits for it. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
}

/** The engine on `dataDir`, answering on a free port. */
export async function startEngine(dataDir: string): Promise<EngineProcess> {
  const file = join(dataDir, 'engine.json')
  writeFileSync(file, JSON.stringify({ dataFolder: dataDir, port: 0, user: 'default', password: 'secret' }))
  const child = spawn(process.execPath, [main, file], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const exited = once(child, 'exit')
  const lines = createInterface(child.stdout)
  const line = await Promise.race([once(lines, 'line').then(([text]) => String(text)), exited.then(() => 'exited')])
  const port = /^ready (\d+)$/.exec(line)?.[1]
  if (port === undefined) throw new Error(`the engine did not start: ${line}`)
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    end: async (signal) => {
      child.kill(signal)
      const [code] = (await exited) as [number | null]
      return code
    }
  }
}
