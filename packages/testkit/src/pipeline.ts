// A whole pipeline for a test: real services on free ports, on a stack that runs already. Everything is stopped when it
// is disposed; projects have names of their own, so pipelines on one stack do not meet.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createWindowReader, windowNames } from '@millrace/aggregation/window-reader'
import type { WindowReader } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import type { Admin, Kafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { setProject } from '@millrace/operations/project-settings'
import { createProject } from '@millrace/operations/projects'
import { pushSchema } from '@millrace/operations/schemas'
import { declarationFor, ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { brokersOf } from '@millrace/local-stack/endpoints'
import { openRedis } from '@millrace/stores/redis'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { services as allServices } from '@millrace/local-stack/services'
import type { ServiceName } from '@millrace/local-stack/services'
import type { Endpoints } from './endpoints.ts'
import { openTestKafka } from './test-kafka.ts'
import { uniqueProject } from './unique.ts'

/** A project with its keys. */
export interface TestProject {
  readonly projectId: string
  readonly writeKey: string
  readonly secretKey: string
}

/** The answer of the query service. */
export interface QueryAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly rowCount: number
}

export interface PipelineOptions {
  /** Where the stack listens. */
  readonly endpoints: Endpoints
  /** Logs of the services go to `<folder>/services/logs`. */
  readonly folder: string
  /** Default: all but `ops`, whose background work looks after the whole stack. */
  readonly only?: readonly ServiceName[]
  /** Of the keys; one of its own by default. Further services with the same one know the same keys. */
  readonly pepper?: string
  /** A bug to switch on in every service. */
  readonly planted?: string | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly startEnv?: (name: ServiceName, start: number) => Readonly<Record<string, string>>
  readonly say?: (line: string) => void
}

export interface Pipeline extends AsyncDisposable {
  readonly endpoints: Endpoints
  readonly services: RunningServices
  readonly kafka: Kafka
  readonly admin: Admin
  /** Address of `POST /v1/events`. */
  readonly eventsUrl: string
  createProject(prefix?: string): Promise<TestProject>
  /** Changes settings of a project, as `millrace projects set` does; at once before its keys are used, else in 60 s. */
  set(project: TestProject, changes: Readonly<Record<string, string>>): Promise<void>
  /** Puts a schema in force; see `set` for when. */
  pushSchema(project: TestProject, eventType: string, schema: unknown, mode: 'enforce' | 'warn'): Promise<void>
  /** Sends one event or body with the project's write key. */
  send(project: TestProject, body: unknown): Promise<Response>
  /** Asks the query service with the project's secret key; throws on any answer but 200. */
  query(project: TestProject, sql: string): Promise<QueryAnswer>
  /** Events of a project that the live state counts in this hour and the one before; of one type when it is named. */
  liveEvents(projectId: string, eventType?: string): Promise<number>
  /** How often each event id of a project is visible through the view. */
  visibleIds(projectId: string): Promise<ReadonlyMap<string, number>>
}

/** What the services of a pipeline take for the administration token. */
export const testAdminToken = 'mr_a_test'

/**
 * A killed worker's place in its group is free after the session timeout, so tests keep it as short as Kafka permits. A
 * machine that runs tests is no reason to turn events away.
 */
const testEnv = {
  SHED_LAG_MS: '0',
  MILLRACE_TEST: '1',
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '1s',
  TOPIC_REFRESH_MS: '5s',
  ADMIN_TOKEN: testAdminToken,
  RECORD_RETRY_MS: '50ms',
  STORM_PER_MINUTE: '0'
}

/** Migrates both databases, ensures the shared topics, and starts the services; resolves when all are ready. */
export async function openPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { endpoints, startEnv, say } = options
  const { only = allServices.map(({ name }) => name).filter((name) => name !== 'ops') } = options
  const { pepper = randomBytes(32).toString('base64url') } = options
  const log = createSilentLogger()
  await using opening = new AsyncDisposableStack()
  const { DATABASE_URL, DATABASE_DIRECT_URL, CLICKHOUSE_URL } = endpoints
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  const kafka = opening.use(await openTestKafka(endpoints))
  const admin = await kafka.admin()
  const declaration = declarationFor(await loadTopicDeclaration(), brokersOf(endpoints))
  const ensureTopicsOf = (projects: readonly string[]) =>
    ensureTopics({ admin, declaration, profile: 'local', projects })
  await ensureTopicsOf([])
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
  const clickhouse = opening.use(await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' }))
  const { REDIS_STATE_URL } = endpoints
  const state = await openRedis({ url: REDIS_STATE_URL, role: 'state', log, requirePolicy: 'when-reachable' })
  const live = createWindowReader(opening.use(state))
  const services = opening.use(
    await startServices({
      endpoints,
      pepper,
      folder: join(options.folder, 'services'),
      ports: 'ephemeral',
      env: {
        ...testEnv,
        ...options.env,
        ...(options.planted === undefined ? {} : { MILLRACE_PLANTED_BUG: options.planted })
      },
      only,
      ...(startEnv === undefined ? {} : { startEnv }),
      onEvent: (event) => {
        if (event.kind === 'exited')
          say?.(`${event.name} ended: ${event.exit.signal ?? `exit code ${event.exit.code}`}`)
      }
    })
  )
  const opened = opening.move()
  const projectAdmin = { postgres, pepper, actor: 'test', ensureTopics: (id: string) => ensureTopicsOf([id]) }
  return {
    endpoints,
    services,
    kafka,
    admin,
    get eventsUrl() {
      return `${services.service('gateway').url}/v1/events`
    },
    createProject: (prefix) => createProject(projectAdmin, { projectId: uniqueProject(prefix) }),
    async set({ projectId }, changes) {
      await setProject({ postgres, actor: 'test' }, projectId, Object.entries(changes))
    },
    async pushSchema({ projectId }, eventType, schema, mode) {
      await pushSchema({ postgres, actor: 'test' }, { projectId, eventType }, schema, mode)
    },
    send: (project, body) => send(services, project, body),
    query: (project, sql) => query(services, project, sql),
    liveEvents: (projectId, eventType) => liveEvents(live, projectId, eventType),
    visibleIds: (projectId) => visibleIds(clickhouse, projectId),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Bytes and text are sent as they are, anything else as JSON. */
async function send(services: RunningServices, project: TestProject, body: unknown): Promise<Response> {
  const raw = typeof body === 'string' || body instanceof Uint8Array
  return await fetch(`${services.service('gateway').url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${project.writeKey}` },
    // Typed arrays of this runtime are backed by an ArrayBuffer; the type of fetch asks for nothing else.
    body: raw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body)
  })
}

async function query(services: RunningServices, project: TestProject, sql: string): Promise<QueryAnswer> {
  const response = await fetch(`${services.service('query').url}/v1/query`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${project.secretKey}`,
      // Tests ask until what they wait for is there.
      'cache-control': 'no-store'
    },
    body: JSON.stringify({ sql })
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`query answered ${response.status}: ${text}`)
  // The shape is the promise of the query API.
  return JSON.parse(text) as QueryAnswer
}

async function liveEvents(live: WindowReader, projectId: string, eventType?: string): Promise<number> {
  const nowMs = Date.now()
  const names = windowNames('events', '1h', { fromMs: nowMs - 2 * 3_600_000, toMs: nowMs })
  const dimension = eventType === undefined ? totalDimension : JSON.stringify([eventType])
  const { windows } = await live.read(projectId, names, [dimension])
  return [...windows.values()].reduce((sum, { values }) => sum + (values.get(dimension)?.count ?? 0), 0)
}

async function visibleIds(clickhouse: Clickhouse, projectId: string): Promise<ReadonlyMap<string, number>> {
  const rows = await clickhouse.rows<{ eventId: string; times: string }>(
    'SELECT eventId, count() AS times FROM events WHERE projectId = {projectId:String} GROUP BY eventId',
    { projectId }
  )
  return new Map(rows.map(({ eventId, times }) => [eventId, Number(times)]))
}
