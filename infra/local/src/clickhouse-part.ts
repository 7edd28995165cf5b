// The ClickHouse engine server as a part: our own process over chdb, started from TypeScript.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { layout } from './layout.ts'
import type { Part } from './part.ts'
import type { PartContext } from './parts.ts'
import { writeState } from './state-file.ts'
import { tcpExchange } from './tcp-exchange.ts'

/** The user whose password is in CLICKHOUSE_URL. */
export const clickhouseUser = 'millrace'

const serverMain = fileURLToPath(new URL('clickhouse-engine/main.ts', import.meta.url))
/** Queries that run at once need a thread each; the rest is for inserts and files. */
const threads = 20

/** The engine server of the stack. */
export function createClickhousePart({ dataDir, ports, secrets }: PartContext): Part {
  const folder = layout.part(dataDir, 'clickhouse')
  const port = ports.clickhouse
  return {
    name: 'clickhouse',
    port,
    ports: { clickhouse: port },
    stopSignal: 'SIGTERM',
    startTimeoutMs: 60_000,
    stopTimeoutMs: 10_000,
    startAttempts: 1,
    async prepare() {
      const settings = join(folder, 'server.json')
      await mkdir(folder, { recursive: true })
      const account = { user: clickhouseUser, password: secrets.clickhousePassword }
      await writeState(settings, { ...account, port, dataFolder: folder, maxConcurrent: 16 })
      // The engine runs queries on the thread pool of libuv, whose size is read once, before any code of ours.
      const environment = ['-u', 'NODE_OPTIONS', `UV_THREADPOOL_SIZE=${threads}`]
      return { file: 'env', args: [...environment, process.execPath, serverMain, settings], cwd: folder }
    },
    answers: async () => {
      const question = Buffer.from('GET /ping HTTP/1.1\r\nHost: stack\r\nConnection: close\r\n\r\n')
      const answer = await tcpExchange(port, question, (bytes) => bytes.includes('Ok.\n'))
      return answer.toString('latin1').startsWith('HTTP/1.1 200')
    }
  }
}
