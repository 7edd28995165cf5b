// COPY from memory, for bulk rows: one message per 64 KiB instead of one value per parameter.
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import type { PoolClient } from 'pg'
import { from } from 'pg-copy-streams'
import { toPostgresError } from './postgres-errors.ts'

/** `copy` over a checked-out connection. `onLost` is told of failures after which the connection is unusable. */
export function copyInto(client: PoolClient, onLost: (error: Error) => void) {
  return async function copy(statement: string, lines: Buffer): Promise<void> {
    try {
      await pipeline(Readable.from([lines]), client.query(from(statement)))
    } catch (error) {
      const failure = toPostgresError(error, 'COPY FROM STDIN')
      if (failure.details['sqlstate'] === undefined) onLost(failure)
      throw failure
    }
  }
}
