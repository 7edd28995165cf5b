// Migrations as files and as the database remembers them, and what follows from both. Pure but for reading the files.
import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { AppError } from '@millrace/kernel'

/** A file `0001_words.sql` of a migration folder. */
export interface Migration {
  readonly number: number
  /** The file name. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of the text with Unix line ends, as hex. */
  readonly checksum: string
}

/** A row of `schema_migrations`. */
export interface AppliedMigration {
  readonly number: number
  readonly name: string
  readonly checksum: string
}

const fileName = /^(\d{4})_[a-z0-9_]+\.sql$/

/** The migrations of `folder` in order. Throws PIPE_MIGRATION_DRIFT for a wrong name, a gap, or a number used twice. */
export async function readMigrations(folder: URL): Promise<readonly Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return await Promise.all(
    names.map(async (name, index) => {
      const number = Number(fileName.exec(name)?.[1] ?? Number.NaN)
      if (number !== index + 1) {
        const wanted = String(index + 1).padStart(4, '0')
        throw drift(name, `is not the migration number ${wanted} that comes here (${wanted}_words_in_lower_case.sql)`)
      }
      const sql = (await readFile(new URL(name, folder), 'utf8')).replaceAll('\r\n', '\n')
      return { number, name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    })
  )
}

/**
 * The migrations still to apply, in order. Throws PIPE_MIGRATION_DRIFT naming the file when an applied one has changed,
 * is gone, or was overtaken by a later number.
 */
export function planMigrations(
  files: readonly Migration[],
  applied: readonly AppliedMigration[]
): readonly Migration[] {
  const byNumber = new Map(files.map((file) => [file.number, file]))
  for (const row of applied) {
    const file = byNumber.get(row.number)
    if (file === undefined) throw drift(row.name, 'is applied in the database and missing in the folder')
    if (file.checksum !== row.checksum || file.name !== row.name) {
      throw drift(file.name, `differs from what was applied as ${row.name}; changes need a migration of their own`)
    }
  }
  const last = Math.max(0, ...applied.map(({ number }) => number))
  const done = new Set(applied.map(({ number }) => number))
  const pending = files.filter(({ number }) => !done.has(number))
  const overtaken = pending.find(({ number }) => number < last)
  if (overtaken !== undefined) throw drift(overtaken.name, `is not applied while number ${last} is`)
  return pending
}

function drift(name: string, problem: string): AppError {
  return new AppError('PIPE_MIGRATION_DRIFT', `migration ${name} ${problem}`, { details: { migration: name } })
}
