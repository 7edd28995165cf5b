// Brings the stores of a fresh or older stack to what the services expect: tables, topics, and the project `demo` with
// keys that work. Every step finds its own earlier work.
import { clickhouseFields, kafkaFields, load, postgresFields, url } from '@millrace/config'
import { topicProfiles } from '@millrace/contracts'
import type { TopicProfile } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import { brokersOf } from '@millrace/local-stack/endpoints'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { createSilentLogger } from '@millrace/observability'
import { writePersonEdges } from '@millrace/operations/identity-closure'
import { createKey } from '@millrace/operations/keys'
import { migrate } from '@millrace/operations/migrate'
import { createProject, listProjects } from '@millrace/operations/projects'
import { declarationFor, ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { createKeyStore } from '@millrace/stores/api-keys'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import type { DataFolder } from '../context.ts'
import { generateAdminToken, readCredentials, writeCredentials } from '../credentials.ts'
import type { Credentials } from '../credentials.ts'
import { pushDemoSchemas } from '../demo/schemas.ts'

export interface PrepareOptions {
  readonly endpoints: Endpoints
  readonly pepper: string
  readonly folder: DataFolder
  readonly say: (line: string) => void
  readonly signal: AbortSignal
  readonly clock: Clock
}

const demoProject = 'demo'
const [localProfile]: readonly TopicProfile[] = topicProfiles
const actor = 'cli:start'
const log = createSilentLogger()

/** Prepares everything; resolves with keys of `demo` that work, which are in the credentials file then. */
export async function preparePipeline(options: PrepareOptions): Promise<Credentials> {
  const { endpoints, pepper, folder, say, signal, clock } = options
  await migrateStores(endpoints, say)
  signal.throwIfAborted()

  const { DATABASE_URL, CLICKHOUSE_URL } = load({ ...postgresFields, ...clickhouseFields }, endpoints)
  await using postgres = await openPostgres({ url: DATABASE_URL, poolSize: 2, name: 'millrace-start', log })
  await using clickhouse = await openClickhouse({ url: CLICKHOUSE_URL, applicationName: 'millrace-start', log })
  await writePersonEdges({ postgres, clickhouse })
  await using kafka = await openKafka(load(kafkaFields, endpoints), { log })
  const admin = await kafka.admin()
  const declaration = declarationFor(await loadTopicDeclaration(), brokersOf(endpoints))
  const ensure = (projects: readonly string[]) =>
    ensureTopics({ admin, declaration, profile: localProfile ?? 'local', projects })
  const existing = (await listProjects(postgres)).map(({ projectId }) => projectId)
  const { created, grown, configured } = await ensure([...new Set([...existing, demoProject])])
  for (const topic of [...created, ...grown, ...configured])
    say(`topic ${topic} ${created.includes(topic) ? 'created' : 'reconciled'}`)
  signal.throwIfAborted()

  const known = readCredentials(folder.credentials)
  const isKnown = known !== undefined && (await work(known, { postgres, pepper, clock }))
  const keys = isKnown
    ? known
    : existing.includes(demoProject)
      ? await newKeys(postgres, pepper)
      : await createProject({ postgres, pepper, actor, ensureTopics: (id) => ensure([id]) }, { projectId: demoProject })
  const schemas = await pushDemoSchemas({ postgres, actor }, demoProject)
  if (schemas.length > 0) say(`schemas of project ${demoProject} registered, mode warn: ${schemas.join(', ')}`)
  if (isKnown) return known
  const credentials: Credentials = {
    projectId: demoProject,
    writeKey: keys.writeKey,
    secretKey: keys.secretKey,
    adminToken: known?.adminToken ?? generateAdminToken()
  }
  await writeCredentials(folder.credentials, credentials)
  say(`keys of project ${demoProject} made`)
  return credentials
}

/** Applies pending migrations of PostgreSQL and ClickHouse; `say` is told each file. */
export async function migrateStores(
  endpoints: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void
): Promise<void> {
  const spec = { ...clickhouseFields, DATABASE_DIRECT_URL: directUrl }
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = load(spec, endpoints)
  const applied = await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  for (const name of applied.postgres) say(`postgres migration ${name} applied`)
  for (const name of applied.clickhouse) say(`clickhouse migration ${name} applied`)
}

const directUrl = url({
  doc: 'PostgreSQL without a pooler between.',
  protocols: ['postgres:', 'postgresql:']
})

/** Whether both keys are good under this pepper: the database or the pepper may be newer than the file. */
async function work(
  { projectId, writeKey, secretKey }: Credentials,
  store: { postgres: Postgres; pepper: string; clock: Clock }
): Promise<boolean> {
  const keys = createKeyStore({ ...store, log })
  const write = await keys.authenticate(writeKey, 'write')
  const secret = await keys.authenticate(secretKey, 'read')
  return [write, secret].every((decision) => decision.kind === 'ok' && decision.projectId === projectId)
}

async function newKeys(postgres: Postgres, pepper: string): Promise<{ writeKey: string; secretKey: string }> {
  const admin = { postgres, pepper, actor }
  const write = await createKey(admin, { projectId: demoProject, kind: 'write' })
  const secret = await createKey(admin, { projectId: demoProject, kind: 'secret' })
  return { writeKey: write.key, secretKey: secret.key }
}
