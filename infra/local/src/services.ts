// The services that a local run consists of, as data: `millrace start`, the tests and the fault suites read this list.

import { AppError } from '@millrace/kernel'

/** One service: `node services/<name>/src/main.ts`. */
export interface ServiceSpec {
  readonly name: ServiceName
  /** Port of `millrace start`; MILLRACE_PORT_<NAME> replaces it. */
  readonly port: number
  /** Consumer group of a worker; a service without one serves HTTP to clients. */
  readonly group?: string
  /** Order of stopping: intake first, then the workers, then the readers. Equal numbers stop together. */
  readonly stopStage: number
  /** Environment of its processes beside its settings. */
  readonly env?: Readonly<Record<string, string>>
  /** Limit for young objects, MiB; default 32. */
  readonly youngMiB?: number
}

export type ServiceName =
  | 'gateway'
  | 'query'
  | 'processor'
  | 'loader'
  | 'recorder'
  | 'aggregator'
  | 'archiver'
  | 'curator'
  | 'realtime'
  | 'ops'

/**
 * Its threads hand megabytes to each other. With an arena of the C library for each thread what one frees the other cannot
 * use, and what is large stays in the arena: 670 MiB at the peak, with these settings 530 at the same CPU.
 */
const archiverEnv = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '1048576' }

/**
 * What is young here is a batch on its way to the encoding thread, and all of it survives: a collection takes as long as the
 * young space is large. With 32 MiB they were 40 ms each on a busy machine, with 8 MiB 7 ms, and 100 MiB less at the peak.
 */
const archiverYoungMiB = 8

export const services: readonly ServiceSpec[] = [
  { name: 'gateway', port: 4001, stopStage: 0 },
  { name: 'processor', port: 4011, group: 'process', stopStage: 1 },
  { name: 'aggregator', port: 4012, group: 'aggregate', stopStage: 1 },
  { name: 'archiver', port: 4013, group: 'archive', stopStage: 1, env: archiverEnv, youngMiB: archiverYoungMiB },
  { name: 'loader', port: 4014, group: 'load', stopStage: 1 },
  { name: 'recorder', port: 4015, group: 'record', stopStage: 1 },
  { name: 'curator', port: 4016, stopStage: 1 },
  { name: 'query', port: 4002, stopStage: 2 },
  { name: 'realtime', port: 4003, stopStage: 2 },
  { name: 'ops', port: 4004, stopStage: 2 }
]

/** The environment variable that moves the port of a service: `MILLRACE_PORT_GATEWAY`. */
export function portVariable(name: ServiceName): string {
  return `MILLRACE_PORT_${name.toUpperCase()}`
}

/** The service ports that `env` moves. Throws PIPE_CONFIG_INVALID naming every value that is no port. */
export function servicePortsFromEnv(
  env: Readonly<Record<string, string | undefined>>
): Partial<Record<ServiceName, number>> {
  const ports: Partial<Record<ServiceName, number>> = {}
  const problems: string[] = []
  for (const { name } of services) {
    const text = env[portVariable(name)]?.trim() ?? ''
    if (text === '') continue
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
    if (port >= 1 && port <= 65_535) ports[name] = port
    else problems.push(`${portVariable(name)} is '${text}', not a port (1 to 65535)`)
  }
  if (problems.length > 0) throw new AppError('PIPE_CONFIG_INVALID', problems.join('; '))
  return ports
}
