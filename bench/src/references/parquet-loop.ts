// Writes archive files of 40,000 rows over and over: from the bytes of raw records, as the archiver does, from rows that are
// ready, or by asking the ClickHouse engine to write the same table.
import { createHash } from 'node:crypto'
import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { dateEvent, rawTopic } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import { toArchivedEvent } from '@millrace/stores/archive-rows'
import type { ArchiveRow } from '@millrace/stores/archive-rows'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { createRawRecords } from '../gen/raw-records.ts'
import { serveLoop } from '../loop-child.ts'

export interface ParquetTask {
  readonly how: 'archive' | 'writer' | 'engine' | 'engine, ndjson'
}

const rowsPerFile = 40_000
const rowsPerGroup = 20_000
const topic = rawTopic('bench')
const { CLICKHOUSE_URL: url = '', FOLDER: folder = '', SEED: seed = '1' } = process.env
const clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'bench' })
const columns =
  'topic, partition, offset, appendedAt, key, headers, value, eventId, eventType, userId, anonymousId, sessionId, timestamp, receivedAt'
const firstMs = Date.UTC(2026, 5, 1)
const raw: readonly ArchiveRow[] = createRawRecords(
  Number(seed),
  'parquet',
  1
)(rowsPerFile).map((record, index) => ({
  topic,
  partition: 0,
  offset: BigInt(index),
  appendedAtMs: firstMs + index,
  key: Buffer.from(String(record.key)),
  value: record.value,
  headers: '{}',
  event: undefined
}))
const ready = raw.map(withEvent)

process.on('SIGTERM', () => process.exit(0))
await prepareEngine()
serveLoop<ParquetTask>(async ({ how }) => {
  if (how === 'archive' || how === 'writer') writeFile(how)
  else await writeByEngine(how)
  return rowsPerFile
})

function withEvent(row: ArchiveRow): ArchiveRow {
  const dated = dateEvent({ ...row, value: row.value === null ? null : Buffer.from(row.value) })
  return { ...row, event: dated.ok ? toArchivedEvent(dated) : undefined }
}

function writeFile(how: 'archive' | 'writer'): void {
  const path = join(folder, 'ours.parquet')
  const fd = openSync(path, 'w')
  const hash = createHash('sha256')
  const writer = createArchiveFileWriter((bytes) => {
    hash.update(bytes)
    writeSync(fd, bytes)
  })
  const rows = how === 'writer' ? ready : raw
  for (let at = 0; at < rows.length; at += rowsPerGroup) {
    const group = rows.slice(at, at + rowsPerGroup)
    writer.group(how === 'writer' ? group : group.map(withEvent))
  }
  writer.finish()
  closeSync(fd)
}

async function prepareEngine(): Promise<void> {
  const time = "DateTime64(3, 'UTC')"
  const types = `topic String, partition Int32, offset Int64, appendedAt ${time}, key Nullable(String), headers String,
    value Nullable(String), eventId Nullable(String), eventType Nullable(String), userId Nullable(String),
    anonymousId Nullable(String), sessionId Nullable(String), timestamp Nullable(${time}), receivedAt Nullable(${time})`
  await clickhouse.command(`DROP TABLE IF EXISTS bench_rows`)
  await clickhouse.command(`CREATE TABLE bench_rows (${types}) ENGINE = Memory`)
  writeFile('writer')
  await clickhouse.command(
    `INSERT INTO bench_rows SELECT ${columns} FROM file('${join(folder, 'ours.parquet')}', Parquet)`
  )
  await clickhouse.command(
    `INSERT INTO FUNCTION file('${join(folder, 'rows.ndjson')}', JSONEachRow) SELECT * FROM bench_rows SETTINGS engine_file_truncate_on_insert = 1`
  )
  await writeByEngine('engine')
  const sizes = ['ours.parquet', 'engine.parquet'].map((name) => statSync(join(folder, name)).size)
  if (sizes.some((size) => size === 0)) throw new Error('a file is empty')
}

async function writeByEngine(how: 'engine' | 'engine, ndjson'): Promise<void> {
  const from = how === 'engine' ? 'bench_rows' : `file('${join(folder, 'rows.ndjson')}', JSONEachRow)`
  await clickhouse.command(
    `INSERT INTO FUNCTION file('${join(folder, 'engine.parquet')}', Parquet) SELECT ${columns} FROM ${from}
     SETTINGS engine_file_truncate_on_insert = 1, output_format_parquet_compression_method = 'zstd',
       output_format_parquet_row_group_size = ${rowsPerGroup}, max_threads = 1`
  )
}
