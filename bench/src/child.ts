// A server in a process of its own that tells its port on its first line of output.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface ChildServer extends AsyncDisposable {
  readonly pid: number
  readonly url: string
}

/**
 * Starts the TypeScript file at `file` (relative to this folder) under this Node, with `env` added to the environment.
 * Disposing it ends the process.
 */
export async function startChildServer(file: string, env: Readonly<Record<string, string>> = {}): Promise<ChildServer> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env }
  })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const first = await Promise.race([once(lines, 'line'), exited])
  const port = Number(first[0])
  if (child.pid === undefined || child.exitCode !== null || !Number.isInteger(port)) {
    throw new Error(`${file} did not start`)
  }
  return {
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await exited
    }
  }
}
