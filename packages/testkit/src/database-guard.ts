// A test never touches data that it did not make: destructive helpers ask here first.
import { AppError } from '@millrace/kernel'

/**
 * Returns `urlOrName` when the database it names has `test` as a word of its name (`test_x`, `millrace-test`); throws
 * PIPE_INVALID_INPUT otherwise. Takes a database name or a URL whose path or `database` parameter is the name.
 */
export function guardTestDatabase(urlOrName: string): string {
  const name = databaseName(urlOrName)
  if (/(^|[^a-z])test([^a-z]|$)/i.test(name)) return urlOrName
  throw new AppError(
    'PIPE_INVALID_INPUT',
    `refusing to touch the database '${name}': a test may only touch databases with 'test' in their name`
  )
}

function databaseName(urlOrName: string): string {
  if (!urlOrName.includes('://')) return urlOrName
  const url = new URL(urlOrName)
  const path = url.pathname.slice(1)
  return decodeURIComponent(path === '' ? (url.searchParams.get('database') ?? '') : path)
}
