// What the launcher knows of one part of the stack: how to prepare, start, ask and stop it. Everything that differs
// between a broker, a Redis and a database is in the value of this type.
import type { PortName } from './ports.ts'

/** The brokers of a stack in the order in which they join it: one, or all three. */
export const brokerNames = ['kafka', 'kafka-2', 'kafka-3'] as const
export type BrokerName = (typeof brokerNames)[number]

/** The parts of a stack with one broker. */
export const partNames = ['kafka', 'redis-dedup', 'redis-state', 'redis-cache', 'postgres', 'clickhouse'] as const
export type PartName = (typeof partNames)[number] | BrokerName

/** How many brokers a stack may have. Three is the least that survives the loss of one without losing a record. */
export type BrokerCount = 1 | 3

/** The parts of a stack with that many brokers. */
export function partNamesOf(brokers: number): readonly PartName[] {
  return [...brokerNames.slice(0, brokers), ...partNames.slice(1)]
}

/** A program to run; it becomes the process whose pid is recorded. */
export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
}

/** One part of the stack. */
export interface Part {
  readonly name: PartName
  /** Ports it listens on, the first one being the one that clients use. */
  readonly ports: Readonly<Partial<Record<PortName, number>>>
  readonly port: number
  /** Asks for an orderly end. */
  readonly stopSignal: NodeJS.Signals
  readonly startTimeoutMs: number
  /** After this long SIGKILL follows the stop signal. */
  readonly stopTimeoutMs: number
  /** How often a process that ends during its start is started again. */
  readonly startAttempts: number
  /** Makes folders and settings; runs before every start and must find its own earlier work. */
  prepare(signal: AbortSignal): Promise<Command>
  /** One question in the part's own protocol; whether it serves now. May reject, which means no. */
  answers(): Promise<boolean>
}
