// The gateway as it is deployed, for tests: its own process over the real stack, with a database, a project and keys of the
// test's own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { digestSecret, generateApiKey, rawTopic } from '@millrace/contracts'
import type { ApiKeyKind } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'

const pepper = 'a-pepper-for-tests'
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const migrations = new URL('../../../schemas/postgres/', import.meta.url)

export interface GatewayProcess {
  readonly url: string
  readonly exited: Promise<number | null>
  output(): string
  stop(): void
}

export interface InsertedKey {
  readonly id: string
  readonly key: string
}

/** A project that gateways of a test take events for. */
export interface GatewayScene extends AsyncDisposable {
  readonly project: string
  readonly databaseUrl: string
  readonly postgres: Postgres
  insertKey(kind: ApiKeyKind, expiresAt?: Date): Promise<InsertedKey>
  /** Starts a gateway on a free port; resolves when it listens or has ended. It ends with the test at the latest. */
  start(env?: Readonly<Record<string, string>>): Promise<GatewayProcess>
  /** Records in the log of the project. */
  stored(): Promise<bigint>
}

/** Makes the database, the project and its topic; disposing drops them. */
export async function openGatewayScene(prefix: string): Promise<GatewayScene> {
  const log = createSilentLogger()
  const project = uniqueProject(prefix)
  await using opening = new AsyncDisposableStack()
  const { databaseUrl } = opening.use(await openTestDatabases('gateway'))
  await migratePostgres({ url: databaseUrl, folder: migrations, log })
  const postgres = opening.use(await openPostgres({ url: databaseUrl, poolSize: 1, log, name: 'test' }))
  const admin = await opening.use(await openTestKafka()).admin()
  await admin.createTopics([{ topic: rawTopic(project), partitions: 2, replicationFactor: 1, config: {} }])
  opening.defer(() => admin.deleteTopics([rawTopic(project)]))
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [project])
  const stack = opening.move()
  return {
    project,
    databaseUrl,
    postgres,
    async insertKey(kind, expiresAt) {
      const { id, secret, key } = generateApiKey(kind)
      await postgres.query(
        'INSERT INTO api_keys (id, project_id, kind, digest, expires_at) VALUES ($1, $2, $3, $4, $5)',
        [id, project, kind, digestSecret(pepper, secret), expiresAt ?? null]
      )
      return { id, key }
    },
    start: (env = {}) =>
      // A machine that runs tests is no reason to turn events away.
      startGateway({
        ...testEndpoints(),
        DATABASE_URL: databaseUrl,
        API_KEY_PEPPER: pepper,
        PORT: '0',
        SHED_LAG_MS: '0',
        ...env
      }),
    stored: async () => (await admin.ranges(rawTopic(project))).reduce((sum, { end, start }) => sum + end - start, 0n),
    [Symbol.asyncDispose]: () => stack.disposeAsync()
  }
}

async function startGateway(env: Readonly<Record<string, string>>): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const address = (): string | undefined => /"address":"(http[^"]+)"/.exec(output)?.[1]
  await expect.poll(() => address() ?? child.exitCode, { timeout: 20_000 }).not.toBeNull()
  return { url: address() ?? '', exited, output: () => output, stop: () => void child.kill('SIGTERM') }
}

/** What was answered to one event; a connection that breaks is status 0. */
export interface Sent {
  readonly status: number
  readonly code: unknown
  readonly afterMs: number
}

/** Sends one event with `key`. */
export async function sendEvent(
  { url }: GatewayProcess,
  eventId: string,
  key: string,
  more: object = {}
): Promise<Sent> {
  const startedMs = performance.now()
  const afterMs = (): number => performance.now() - startedMs
  try {
    const response = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ eventId, eventType: 'page_view', ...more })
    })
    const { code } = (await response.json()) as { code?: unknown }
    return { status: response.status, code, afterMs: afterMs() }
  } catch {
    return { status: 0, code: undefined, afterMs: afterMs() }
  }
}
