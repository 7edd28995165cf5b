// One worker service for its own integration tests: the real main.ts as a process, in a consumer group of its own and
// on the topics of one project, so that it neither sees nor disturbs anything else on the stack.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Admin } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { testEndpoints } from './endpoints.ts'
import { unique } from './unique.ts'

export interface WorkerOptions {
  readonly service: 'aggregator' | 'archiver' | 'loader' | 'processor' | 'recorder'
  readonly project: string
  /** Consumer group; one of its own by default. */
  readonly group?: string
  /** Settings that replace those of the test stack. */
  readonly env?: Readonly<Record<string, string>>
  /** Settings of the first process only, such as a fault that kills it. */
  readonly firstEnv?: Readonly<Record<string, string>>
}

export interface Worker extends AsyncDisposable {
  readonly service: RunningService
  readonly group: string
}

/** Starts the worker and resolves when it is ready; a process that dies is started again. Disposing stops it. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { service: name, project, group = unique(name) } = options
  const folder = await mkdtemp(join(tmpdir(), `millrace-${name}-`))
  const letters = { RECORD_RETRY_MS: '50ms', STORM_PER_MINUTE: '0' }
  const env = { MILLRACE_TEST: '1', ...letters, CONSUMER_GROUP: group, PROJECTS: project, ...options.env }
  const running = await startServices({
    endpoints: { ...testEndpoints() },
    pepper: 'test',
    folder,
    ports: 'ephemeral',
    only: [name],
    env,
    ...(options.firstEnv === undefined ? {} : { firstEnv: { [name]: options.firstEnv } })
  })
  return {
    service: running.service(name),
    group,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** Creates the topics of a project as they are declared for one broker. */
export async function createProjectTopics(admin: Admin, project: string): Promise<void> {
  const declaration = await loadTopicDeclaration()
  await ensureTopics({ admin, declaration, profile: 'local', projects: [project] })
}
