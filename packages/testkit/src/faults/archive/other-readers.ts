// What DuckDB and ClickHouse make of every file of an archive: counts and sums, file by file, next to our own.
import { mkdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { createSilentLogger } from '@millrace/observability'
import { readArchiveFile } from '@millrace/stores/archive-file'
import type { ArchiveFile } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { ObjectStore } from '@millrace/stores/object-store'

/** Rows, and sums over offsets, append times, bytes and columns that may be empty. */
const sums = (length: string, millis: (column: string) => string): string =>
  `count(*), sum("offset"), sum(${millis('"appendedAt"')} - 1700000000000), sum(${length}("value")), count("key"),
   count("value"), count("eventId"), sum(${length}("eventId")), sum(${millis('"timestamp"')} - 1700000000000)`

/**
 * The files that another reader sees otherwise than we do, each with what it saw; empty when all agree. `folder` gets a
 * copy of every file. Throws when a reader cannot read at all.
 */
export async function readOtherwise(
  files: readonly ArchiveFile[],
  objects: Pick<ObjectStore, 'get'>,
  { folder, clickhouseUrl }: { readonly folder: string; readonly clickhouseUrl: string }
): Promise<readonly string[]> {
  if (files.length === 0) return []
  mkdirSync(folder, { recursive: true })
  const ours = new Map<string, string>()
  for (const [index, { key }] of files.entries()) {
    const bytes = await objects.get(key)
    const name = `${String(index).padStart(6, '0')}.parquet`
    await writeFile(join(folder, name), bytes)
    ours.set(name, await sumUp(bytes))
  }
  const readers = {
    DuckDB: await readByDuckDb(join(folder, '*.parquet')),
    ClickHouse: await readByClickhouse(clickhouseUrl, join(folder, '*.parquet'))
  }
  return Object.entries(readers).flatMap(([reader, seen]) =>
    [...ours]
      .filter(([name, expected]) => seen.get(name) !== expected)
      .map(([name, expected]) => {
        const key = files[Number.parseInt(name, 10)]?.key ?? name
        return `${key}: ${reader} sees ${seen.get(name) ?? 'nothing'}, expected ${expected}`
      })
  )
}

async function sumUp(bytes: Buffer): Promise<string> {
  const found = { rows: 0, offsets: 0n, appended: 0, bytes: 0, keys: 0, values: 0, events: 0, ids: 0, times: 0 }
  for await (const group of readArchiveFile(bytes))
    for (const { offset, appendedAtMs, key, value, event } of group) {
      found.rows++
      found.offsets += offset
      found.appended += appendedAtMs - 1_700_000_000_000
      found.bytes += value?.byteLength ?? 0
      found.keys += key === null ? 0 : 1
      found.values += value === null ? 0 : 1
      found.events += event === undefined ? 0 : 1
      found.ids += event === undefined ? 0 : Buffer.byteLength(event.eventId)
      found.times += event === undefined ? 0 : event.timestamp - 1_700_000_000_000
    }
  return Object.values(found).join(' ')
}

async function readByDuckDb(pattern: string): Promise<ReadonlyMap<string, string>> {
  const duck = await DuckDBInstance.create(':memory:')
  const connection = await duck.connect()
  try {
    const answer = await connection.runAndReadAll(
      `SELECT filename, ${sums('octet_length', (column) => `epoch_ms(${column})`).replace(
        'octet_length("eventId")',
        'octet_length(encode("eventId"))'
      )} FROM read_parquet('${pattern}', filename = true) GROUP BY filename`
    )
    return toSums(answer.getRowsJson())
  } finally {
    connection.closeSync()
    duck.closeSync()
  }
}

async function readByClickhouse(url: string, pattern: string): Promise<ReadonlyMap<string, string>> {
  const anywhere = new URL(url)
  anywhere.pathname = '/default'
  const log = createSilentLogger()
  await using clickhouse = await openClickhouse({ url: anywhere.href, log, applicationName: 'test' })
  const rows = await clickhouse.rows(
    `SELECT _file AS filename, ${sums('length', (column) => `toUnixTimestamp64Milli(${column})`)}
     FROM file('${pattern}', Parquet) GROUP BY filename`
  )
  return toSums(rows.map((row) => Object.values(row)))
}

/** An empty sum is NULL to readers, and zero to us. */
function toSums(rows: readonly (readonly unknown[])[]): ReadonlyMap<string, string> {
  return new Map(rows.map(([name, ...values]) => [basename(String(name)), values.map((value) => value ?? 0).join(' ')]))
}
