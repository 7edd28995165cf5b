// Global setup of the integration and e2e projects: a missing stack fails the run at once with the command that starts
// it, since tests are never skipped for want of a stack; and the databases get the schemas of this version.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { testEndpoints, testEndpointsFile } from './endpoints.ts'

const advice = 'run them with `npm test` (or `npm test integration`, `npm test e2e`), which starts a stack of its own'

/** Every host:port that a JSON text mentions, in URLs or alone, each once. */
export function addressesIn(text: string): { host: string; port: number }[] {
  const found = new Map<string, { host: string; port: number }>()
  const texts: string[] = []
  JSON.parse(text, (_key, value: unknown) => void (typeof value === 'string' && texts.push(value)))
  for (const value of texts) {
    for (const match of value.matchAll(/(?:^|[/@,\s])(\d+\.\d+\.\d+\.\d+|localhost):(\d+)/g)) {
      const [, host = '', port = ''] = match
      found.set(`${host}:${port}`, { host, port: Number(port) })
    }
  }
  return [...found.values()]
}

/**
 * Throws with the command that starts the stack when its endpoints are not written down or do not answer; otherwise
 * applies the migrations that are pending on it.
 */
export async function setup(): Promise<void> {
  const file = testEndpointsFile()
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error(`these tests need the local stack (no ${file}): ${advice}`)
  }
  const addresses = addressesIn(text)
  const dead = (await Promise.all(addresses.map(answers))).flatMap((ok, index) => (ok ? [] : [addresses[index]]))
  if (addresses.length === 0 || dead.length > 0) {
    const which = dead.map((address) => `${address?.host}:${address?.port}`).join(', ')
    throw new Error(`these tests need the local stack, and it does not answer at ${which || file}: ${advice}`)
  }
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log: createSilentLogger() })
}

function answers({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2_000 })
    const end = (ok: boolean): void => {
      socket.destroy()
      resolve(ok)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
    socket.on('timeout', () => end(false))
  })
}
