// The ports of the stack: names, defaults away from the usual ones, and the variables that move them.
import { AppError } from '@millrace/kernel'

/** A port of the stack; the controller port is Kafka's own, nobody else connects to it. */
export type PortName =
  | 'kafka'
  | 'kafka-controller'
  | 'redis-dedup'
  | 'redis-state'
  | 'redis-cache'
  | 'postgres'
  | 'clickhouse'
  | 'kafka-2'
  | 'kafka-2-controller'
  | 'kafka-3'
  | 'kafka-3-controller'

/** Ports of the second and third broker exist in a stack of three only. */
export type Ports = Readonly<Record<PortName, number | undefined>> & Readonly<Record<BasePortName, number>>

type BasePortName = Exclude<PortName, `kafka-${2 | 3}${string}`>

/** Ports of `npm start` and `millrace stack up`. */
export const defaultPorts: Readonly<Record<PortName, number>> = {
  kafka: 19092,
  'kafka-controller': 19093,
  'redis-dedup': 16379,
  'redis-state': 16380,
  'redis-cache': 16381,
  postgres: 15432,
  clickhouse: 18123,
  'kafka-2': 19094,
  'kafka-2-controller': 19095,
  'kafka-3': 19096,
  'kafka-3-controller': 19097
}

export const portNames = Object.keys(defaultPorts) as readonly PortName[]

/** The ports of a stack with that many brokers. */
export function portNamesOf(brokers: number): readonly PortName[] {
  return portNames.filter((name) => brokers >= (name.startsWith('kafka-3') ? 3 : name.startsWith('kafka-2') ? 2 : 1))
}

/** The variable that moves a port: `MILLRACE_PORT_REDIS_DEDUP`. */
export function portVariableOf(name: PortName): string {
  return `MILLRACE_PORT_${name.toUpperCase().replaceAll('-', '_')}`
}

/** The ports that `env` moves; 0 means any free one. Throws PIPE_CONFIG_INVALID naming every value that is no port. */
export function portsFromEnv(env: Readonly<Record<string, string | undefined>>): Partial<Record<PortName, number>> {
  const ports: Partial<Record<PortName, number>> = {}
  const problems: string[] = []
  for (const name of portNames) {
    const text = env[portVariableOf(name)]?.trim()
    if (text === undefined || text === '') continue
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
    if (port <= 65_535) ports[name] = port
    else problems.push(`${portVariableOf(name)} is '${text}', not a port (0 to 65535; 0 takes any free one)`)
  }
  if (problems.length > 0) throw new AppError('PIPE_CONFIG_INVALID', problems.join('; '))
  return ports
}
