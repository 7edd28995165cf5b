// A stack of the benchmark's own: fresh data, free ports, one project. Nothing of a developer's stack is touched.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { endOnStop } from '@millrace/local-stack/end-on-stop'
import { startStack } from '@millrace/local-stack/stack'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { createProject } from '@millrace/operations/projects'
import type { CreatedProject } from '@millrace/operations/projects'
import { ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { schemasFolder } from '@millrace/operations/migrate'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'

export interface BenchStack extends AsyncDisposable {
  readonly endpoints: Endpoints
  /** Folder for logs of services. */
  readonly folder: string
  readonly pepper: string
  readonly writeKey: string
  readonly secretKey: string
  readonly versions: Readonly<Record<string, string>>
  /** Processes of the stack. */
  pids(): readonly number[]
  /** The process of one part; throws when it does not run. */
  pidOf(part: 'clickhouse' | 'kafka' | 'postgres' | 'redis-dedup' | 'redis-state'): number
  /** Stops a part in its tracks (SIGSTOP) or lets it go on (SIGCONT). */
  signal(part: 'kafka', signal: 'SIGSTOP' | 'SIGCONT'): void
}

/** The version that infra/local/kafka/pom.xml pins. */
const kafkaVersion = '4.3.1'
const pepper = 'the-pepper-of-a-benchmark'

/** Starts the stack and creates the project `bench`; `log` is told each step. A stop signal ends all of it, and the process. */
export async function openBenchStack(log: (line: string) => void): Promise<BenchStack> {
  await using opening = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  opening.defer(() => rmSync(folder, { recursive: true, force: true }))
  const dataDir = join(folder, 'stack')
  const { signal } = opening.use(endOnStop({ folder, dataDir, log, env: process.env }))
  const stack = opening.use(await startStack({ dataDir, ports: 'ephemeral', log, signal }))
  const { writeKey, secretKey } = await createBenchProject(stack.endpoints)
  const versions = { kafka: kafkaVersion, redis: await redisVersion(stack.endpoints) }
  const opened = opening.move()
  return {
    endpoints: stack.endpoints,
    folder,
    pepper,
    writeKey,
    secretKey,
    versions,
    pids: () => stack.parts.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
    pidOf(name) {
      const { pid } = stack.part(name)
      if (pid === undefined) throw new Error(`${name} does not run`)
      return pid
    },
    signal: (name, signal) => void stack.kill(name, signal),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

async function createBenchProject(endpoints: Endpoints): Promise<CreatedProject> {
  const log = createSilentLogger()
  const url = endpoints.DATABASE_DIRECT_URL
  await migratePostgres({ url, folder: new URL('postgres/', schemasFolder), log })
  await using kafka = await openKafka(load(kafkaFields, endpoints), { log, clientId: 'bench' })
  await using postgres = await openPostgres({ url, poolSize: 1, log, name: 'bench' })
  const admin = await kafka.admin()
  const declaration = await loadTopicDeclaration()
  return await createProject(
    {
      postgres,
      pepper,
      actor: 'cli:bench',
      ensureTopics: (project) => ensureTopics({ admin, declaration, profile: 'local', projects: [project] })
    },
    { projectId: 'bench' }
  )
}

async function redisVersion(endpoints: Endpoints): Promise<string> {
  const url = endpoints.REDIS_DEDUP_URL
  await using redis = await openRedis({ url, role: 'dedup', log: createSilentLogger(), requirePolicy: 'now' })
  return /redis_version:(\S+)/.exec(String(await redis.command('INFO', 'server')))?.[1] ?? 'unknown'
}
