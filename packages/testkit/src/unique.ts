// Names that no other test and no earlier run uses.
import { randomBytes } from 'node:crypto'

/** `prefix-` and ten random characters of [a-z0-9]; `prefix` is shortened so that the whole has at most 39. */
export function unique(prefix: string): string {
  const tail = BigInt(`0x${randomBytes(8).toString('hex')}`)
    .toString(36)
    .padStart(10, '0')
    .slice(-10)
  return `${prefix.slice(0, 28)}-${tail}`
}

/** A new project id of [a-z0-9-], at most 39 characters. */
export function uniqueProject(prefix = 'p'): string {
  return unique(prefix.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'))
}

/** A new database name that the guard of database-guard.ts lets pass. */
export function uniqueDatabase(prefix = 'db'): string {
  return `test_${unique(prefix).replaceAll('-', '_')}`
}
