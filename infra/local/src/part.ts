// What the launcher knows of one part of the stack: how to prepare, start, ask and stop it. Everything that differs
// between a broker, a Redis and a database is in the value of this type.
import type { PortName } from './ports.ts'

export const partNames = ['kafka', 'redis-dedup', 'redis-state', 'redis-cache', 'postgres', 'clickhouse'] as const
export type PartName = (typeof partNames)[number]

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
