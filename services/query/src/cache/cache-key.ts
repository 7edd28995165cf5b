// Names of answers in the cache. The project stands before the hash, and comes from the credential alone.
import { createHash } from 'node:crypto'

/** Everything that an answer depends on beside the rows themselves. */
export interface KeyParts {
  /** From the credential. */
  readonly projectId: string
  /** What kind of question it is, with its version: answers of another shape have other names. */
  readonly kind: string
  /** Changes with the columns of the tables. */
  readonly schemaVersion: string
  /** As the gate wrote it: spelling and comments of the client are gone. */
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Media type of the answer. */
  readonly format: string
}

/** `query:{project}:<hash>`; equal questions have equal keys, whatever the order of their parameters. */
export function cacheKeyOf({ projectId, kind, schemaVersion, sql, params, format }: KeyParts): string {
  const bound = Object.entries(params).toSorted(([left], [right]) => (left < right ? -1 : 1))
  const text = JSON.stringify([kind, schemaVersion, format, sql, bound])
  return `query:{${projectId}}:${createHash('sha256').update(text).digest('base64url')}`
}

/** The lock under which one process makes the answer of `key`; in the same slot. */
export function lockKeyOf(key: string): string {
  return `lock:${key}`
}

/** Holds the generation of a project's answers; those of another generation do not count. */
export function generationKeyOf(projectId: string): string {
  return `query-generation:{${projectId}}`
}
