// A copy of the definitions of metrics in the Redis of the live state: a process that starts while PostgreSQL is away
// counts by it. PostgreSQL is the truth; nothing is decided from the copy that reading the truth does not check later.
import type { Redis } from '@millrace/stores/redis'
import type { ProjectDefinition } from './metric-definitions.ts'

export interface DefinitionCopy {
  /** Replaces the copy. Throws PIPE_REDIS_UNAVAILABLE, PIPE_REDIS_REFUSED. */
  write(rows: readonly ProjectDefinition[]): Promise<void>
  /** Undefined: there is none that this version understands. Throws PIPE_REDIS_UNAVAILABLE. */
  read(): Promise<readonly ProjectDefinition[] | undefined>
}

const key = 'metric-definitions'
/** Raised when a definition is written differently: versions side by side must not count by what they misread. */
const format = 1
/** The copy may have been lost since it was written: it is written again after as many times with nothing new. */
const writtenEvery = 10

/** The copy in `redis`. */
export function createDefinitionCopy(redis: Pick<Redis, 'command'>): DefinitionCopy {
  let written: string | undefined
  let left = 0
  return {
    async write(rows) {
      const text = JSON.stringify({ format, rows })
      if (text === written && left-- > 0) return
      await redis.command('SET', key, text)
      written = text
      left = writtenEvery
    },
    async read() {
      const text = await redis.command('GET', key)
      return typeof text === 'string' ? parse(text) : undefined
    }
  }
}

function parse(text: string): readonly ProjectDefinition[] | undefined {
  // oxlint-disable-next-line no-restricted-properties -- written above
  const held = JSON.parse(text) as { readonly format?: unknown; readonly rows: readonly ProjectDefinition[] }
  return held.format === format ? held.rows : undefined
}
