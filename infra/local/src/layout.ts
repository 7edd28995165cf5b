// Where things lie. Everything of one stack is below its data folder, except PostgreSQL's files when its system user
// cannot reach that folder (postgres-place.ts).
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PartName } from './part.ts'

/** The root of the repository. */
export const repositoryRoot = fileURLToPath(new URL('../../..', import.meta.url))

/** Downloads that all stacks of this repository share. */
export const toolsFolder = join(repositoryRoot, '.millrace', 'tools')

/** The data folder of `npm start` and `millrace stack`. */
export const defaultDataDir = join(repositoryRoot, '.millrace', 'stack')

/** The data folder of the tests. */
export const testDataDir = join(repositoryRoot, '.millrace', 'test-stack')

/** The files and folders of one data folder. */
export const layout = {
  lock: (dataDir: string) => join(dataDir, 'stack.lock'),
  secrets: (dataDir: string) => join(dataDir, 'secrets.json'),
  endpoints: (dataDir: string) => join(dataDir, 'endpoints.json'),
  kafkaCluster: (dataDir: string) => join(dataDir, 'kafka-cluster.json'),
  objects: (dataDir: string) => join(dataDir, 'objects'),
  records: (dataDir: string) => join(dataDir, 'run'),
  record: (dataDir: string, part: PartName) => join(dataDir, 'run', `${part}.json`),
  logs: (dataDir: string) => join(dataDir, 'logs'),
  log: (dataDir: string, part: PartName) => join(dataDir, 'logs', `${part}.log`),
  part: (dataDir: string, part: PartName) => join(dataDir, part)
} as const

/** The environment that marks the processes of a stack, by which a later start finds those without a record. */
export function stackMark(dataDir: string): { readonly MILLRACE_STACK: string } {
  return { MILLRACE_STACK: resolve(dataDir) }
}
