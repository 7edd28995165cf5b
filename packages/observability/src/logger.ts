// One logger per process: JSON lines, a constant message plus fields, and nothing that could be a secret or a payload.
import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger } from 'pino'

const redacted = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'apiKey',
  'writeKey',
  'secretKey',
  'adminToken',
  '*.authorization',
  '*.password',
  '*.secret'
]

/**
 * A logger that writes JSON lines to standard output at `level` and above. warn = recovered, nothing lost; error = data
 * lost or a person is needed.
 */
export function createLogger(options: { name: string; level: string }): Logger {
  return pino({
    name: options.name,
    level: options.level,
    redact: redacted,
    base: { service: options.name, pid: process.pid }
  })
}

/** A logger that writes nothing. */
export function createSilentLogger(): Logger {
  return pino({ level: 'silent' })
}
