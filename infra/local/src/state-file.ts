// Small JSON files of the data folder. Written whole or not at all: a killed launcher never leaves half a file.
import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The value in `file` when `is` accepts it; undefined when there is no such file or it holds something else. */
export function readState<T>(file: string, is: (value: unknown) => value is T): T | undefined {
  try {
    // oxlint-disable-next-line no-restricted-properties -- the guard of the caller decides what the file means
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return is(value) ? value : undefined
  } catch {
    // No file, or not ours.
    return undefined
  }
}

/** Replaces `file` in one step, readable by this user only. */
export async function writeState(file: string, value: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const next = `${file}.${process.pid}.new`
  await writeFile(next, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 })
  await rename(next, file)
}

/** Whether `value` is an object whose `fields` are of the named types. */
export function hasFields<K extends string>(
  value: unknown,
  fields: Readonly<Record<K, 'string' | 'number' | 'object'>>
): value is Record<K, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const record = value as Record<string, unknown>
  return (Object.keys(fields) as K[]).every((key) => typeof record[key] === fields[key] && record[key] !== null)
}
