// A whole pipeline for a test: real services on free ports, on a stack that runs already. Everything is stopped when it
// is disposed; projects have names of their own, so pipelines on one stack do not meet.
import { join } from 'node:path'
import type { Admin, Kafka } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import type { ServiceName } from '@millrace/local-stack/services'
import { openTestKafka } from './test-kafka.ts'

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
  readonly endpoints: Readonly<Record<string, string>>
  /** Logs of the services go to `<folder>/services/logs`. */
  readonly folder: string
  readonly only?: readonly ServiceName[]
  /** A bug to switch on in every service. */
  readonly planted?: string | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly startEnv?: (name: ServiceName, start: number) => Readonly<Record<string, string>>
  readonly say?: (line: string) => void
}

export interface Pipeline extends AsyncDisposable {
  readonly endpoints: Readonly<Record<string, string>>
  readonly services: RunningServices
  readonly kafka: Kafka
  readonly admin: Admin
  /** Address of `POST /v1/events`. */
  readonly eventsUrl: string
  createProject(prefix?: string): Promise<TestProject>
  /** Sends one event or body with the project's write key. */
  send(project: TestProject, body: unknown): Promise<Response>
  /** Asks the query service with the project's secret key; throws on any answer but 200. */
  query(project: TestProject, sql: string): Promise<QueryAnswer>
  /** How often each event id of a project is visible through the view. */
  visibleIds(projectId: string): Promise<ReadonlyMap<string, number>>
}
