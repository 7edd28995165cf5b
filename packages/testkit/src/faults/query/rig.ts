// What the cases of the query service share: projects whose events nobody else may see, the service as processes, and a
// proxy that counts what reaches the engine.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { enrich, eventColumns, rawTopic, toRowLine } from '@millrace/contracts'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { createProject } from '@millrace/operations/projects'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { uniqueProject } from '../../unique.ts'
import type { CaseContext } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Measures, Verdict, Violation } from '../oracle.ts'
import { openEngineProxy } from './engine-proxy.ts'
import type { EngineProxy } from './engine-proxy.ts'

/** A project with a number of events of its own, each of which carries its canary. */
export interface Canaries {
  readonly projectId: string
  readonly secretKey: string
  readonly events: number
  /** The user id of its events. */
  readonly canary: string
}

/** What came back. */
export interface Asked {
  /** 0: no answer. */
  readonly status: number
  readonly cache: string
  readonly body: string
  readonly tookMs: number
}

export interface QueryRig extends AsyncDisposable {
  readonly services: readonly RunningService[]
  readonly clickhouse: Clickhouse
  readonly proxy: EngineProxy
  readonly projects: readonly Canaries[]
  /** Asks the n-th process. Never throws. */
  ask(project: Canaries, question: Asking, options?: AskOptions): Promise<Asked>
  /** Sum of a series with its labels over the processes. */
  series(name: string): Promise<number>
}

/** SQL, or an address below /v1 with what is sent to it. */
export type Asking = string | { readonly path: string; readonly body?: object }

export interface AskOptions {
  readonly process?: number
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
}

export interface RigOptions {
  readonly processes?: number
  readonly projects?: number
  readonly env?: Readonly<Record<string, string>>
}

/** Prepares a case: projects, their events, and the processes. */
export async function openQueryRig(context: CaseContext, options: RigOptions = {}): Promise<QueryRig> {
  const { endpoints } = context.stack
  const log = createSilentLogger()
  const pepper = randomBytes(32).toString('base64url')
  await using opening = new AsyncDisposableStack()
  const { DATABASE_URL, DATABASE_DIRECT_URL, CLICKHOUSE_URL } = endpoints
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
  const clickhouse = opening.use(await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' }))
  const proxy = opening.use(await openEngineProxy(CLICKHOUSE_URL))
  const admin = { postgres, pepper, actor: 'test', ensureTopics: async () => undefined }
  const projects: Canaries[] = []
  for (let index = 0; index < (options.projects ?? 2); index++) {
    const { projectId, secretKey } = await createProject(admin, { projectId: uniqueProject(`p${index}`) })
    const project = {
      projectId,
      secretKey,
      events: 100 + index * 7,
      canary: `canary-${randomBytes(8).toString('hex')}`
    }
    await insertEvents(clickhouse, project)
    projects.push(project)
  }
  const services: RunningService[] = []
  for (let index = 0; index < (options.processes ?? 1); index++) {
    const running = opening.use(
      await startServices({
        endpoints: { ...endpoints, CLICKHOUSE_URL: proxy.url },
        pepper,
        folder: join(context.folder, `query-${index}`),
        ports: 'ephemeral',
        only: ['query'],
        env: {
          MILLRACE_TEST: '1',
          ...(context.planted === undefined ? {} : { MILLRACE_PLANTED_BUG: context.planted }),
          ...options.env
        }
      })
    )
    services.push(running.service('query'))
  }
  const opened = opening.move()
  return {
    services,
    clickhouse,
    proxy,
    projects,
    ask: (project, question, { process = 0, ...rest } = {}) =>
      ask(services[process]?.url ?? '', project, question, rest),
    series: async (name) => {
      const values = await Promise.all(services.map((service) => seriesOf(service, name)))
      return values.reduce((sum, value) => sum + value, 0)
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

async function ask(
  url: string,
  { secretKey }: Canaries,
  question: Asking,
  { headers = {}, signal }: Pick<AskOptions, 'headers' | 'signal'>
): Promise<Asked> {
  const startedAtMs = performance.now()
  const took = (): number => performance.now() - startedAtMs
  try {
    const { path, body } = typeof question === 'string' ? { path: 'query', body: { sql: question } } : question
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(`${url}/v1/${path}`, {
      ...sent,
      headers: { ...type, authorization: `Bearer ${secretKey}`, ...headers },
      signal: signal ?? AbortSignal.timeout(20_000)
    })
    const cache = response.headers.get('x-cache') ?? ''
    return { status: response.status, cache, body: await response.text(), tookMs: took() }
  } catch (error) {
    return { status: 0, cache: '', body: error instanceof Error ? error.message : '', tookMs: took() }
  }
}

async function insertEvents(clickhouse: Clickhouse, { projectId, events, canary }: Canaries): Promise<void> {
  const nowMs = Date.now()
  const lines = Array.from({ length: events }, (_, index) => {
    const timestamp = new Date(nowMs - index * 1_000).toISOString()
    const eventType = index % 2 === 0 ? 'purchase' : 'page_view'
    const event = {
      eventId: `${canary}-${index}`,
      eventType,
      userId: canary,
      sessionId: `${canary}-${index % 9}`,
      timestamp
    }
    const value = Buffer.from(JSON.stringify({ ...event, properties: { price: index, owner: canary } }))
    const topic = rawTopic(projectId)
    const enriched = enrich({ topic, partition: 0, offset: BigInt(index), value, appendedAtMs: nowMs })
    if (!enriched.ok) throw new Error(`test event: ${enriched.reason}`)
    return `${toRowLine(enriched.row).trimEnd()}\n`
  })
  const columns = eventColumns.map(({ name }) => name)
  await clickhouse.insertLines('events_raw', columns, Buffer.from(lines.join('')))
}

async function seriesOf({ url }: RunningService, name: string): Promise<number> {
  const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(3_000) })
    .then((response) => response.text())
    .catch(() => '')
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}

/** The body without what only lays it out. */
export function plainOf({ body }: Pick<Asked, 'body'>): string {
  return body.replaceAll(/\s/g, '')
}

/** The verdict of a case that sends no events. */
export function verdictOf(
  violations: readonly Violation[],
  answers: readonly Pick<Asked, 'status'>[] = [],
  measures: Measures = {}
): Verdict {
  const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
  const unavailable = answers.filter(({ status }) => status === 503).length
  return { violations, figures: { ...figures, attempts: answers.length, unavailable }, measures }
}
