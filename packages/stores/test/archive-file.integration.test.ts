// What others make of our files: DuckDB and ClickHouse read every row with the same counts and sums.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { createArchiveFileWriter, readArchiveFile } from '../src/archive-file.ts'
import type { ArchiveRow } from '../src/archive-rows.ts'
import { openClickhouse } from '../src/clickhouse.ts'

const { CLICKHOUSE_URL } = testEndpoints()
const firstAppendedAtMs = Date.UTC(2026, 0, 1)

/** Events, records that are none, nulls, empty values, bytes that are no text, and long ones. */
function row(index: number): ArchiveRow {
  const isEvent = index % 5 !== 0
  const value = index % 10 === 0 ? null : index % 5 === 0 ? Buffer.from([0xff, index % 256]) : eventValue(index)
  return {
    topic: 'events.shop',
    partition: 2,
    offset: BigInt(index * 3),
    appendedAtMs: firstAppendedAtMs + index,
    key: index % 7 === 0 ? null : Buffer.from(`k-${index}`),
    value,
    headers: index % 11 === 0 ? '{"a":"ü"}' : '{}',
    event: isEvent
      ? {
          eventId: `e-${index}`,
          eventType: index % 2 === 0 ? 'view' : 'köp',
          userId: index % 3 === 0 ? '' : `u-${index % 50}`,
          anonymousId: '',
          sessionId: 's',
          timestamp: firstAppendedAtMs - index,
          receivedAt: firstAppendedAtMs
        }
      : undefined
  }
}

function eventValue(index: number): Buffer {
  return Buffer.from(JSON.stringify({ eventId: `e-${index}`, text: '✓'.repeat(index % 400) }))
}

const rows = Array.from({ length: 5_003 }, (_, index) => row(index))
const count = (test: (each: ArchiveRow) => boolean): string => String(rows.filter(test).length)
const expected = [
  String(rows.length),
  String(rows.reduce((sum, { offset }) => sum + offset, 0n)),
  String(rows.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0)),
  count(({ key }) => key !== null),
  count(({ value }) => value !== null),
  count(({ event }) => event !== undefined),
  count(({ event }) => event?.eventType === 'köp'),
  count(({ event }) => (event?.userId ?? '') !== ''),
  String(rows.reduce((sum, { appendedAtMs }) => sum + appendedAtMs - firstAppendedAtMs, 0)),
  String(rows.reduce((sum, { event }) => sum + (event === undefined ? 0 : firstAppendedAtMs - event.timestamp), 0))
]

let folder: string
let file: string
let bytes: Buffer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-parquet-'))
  file = join(folder, 'file.parquet')
  const parts: Buffer[] = []
  const writer = createArchiveFileWriter((part) => void parts.push(Buffer.from(part)))
  for (let at = 0; at < rows.length; at += 1_000) writer.group(rows.slice(at, at + 1_000))
  writer.finish()
  bytes = Buffer.concat(parts)
  await writeFile(file, bytes)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('an archive file', () => {
  it('gives back what was written, group by group', async () => {
    const groups = await Array.fromAsync(readArchiveFile(bytes))
    expect(groups.map((group) => group.length)).toEqual([1_000, 1_000, 1_000, 1_000, 1_000, 3])
    const plain = (each: ArchiveRow): unknown => ({
      ...each,
      key: each.key && Buffer.from(each.key).toString('hex'),
      value: each.value && Buffer.from(each.value).toString('hex')
    })
    expect(groups.flat().map(plain)).toEqual(rows.map(plain))
  })

  it('is not what any Parquet file is, nor one of another version', async () => {
    const first = async (file: Uint8Array): Promise<unknown> => {
      for await (const group of readArchiveFile(file)) return group
      return undefined
    }
    const text = bytes.toString('latin1')
    const changed = (from: string, to: string): Buffer => Buffer.from(text.replace(from, to), 'latin1')
    // In the footer a text follows its length: the version is the one after its key.
    const later = changed('millrace.archive\u0018\u00011', 'millrace.archive\u0018\u00012')
    expect(later.equals(bytes)).toBe(false)
    const refused = (message: string) => ({ code: 'PIPE_INVALID_INPUT', message })
    await expect(first(later)).rejects.toMatchObject(refused('the bytes are an archive file of version 2, not 1'))
    await expect(first(changed('millrace.archive', 'somebody.archive'))).rejects.toMatchObject(
      refused('the bytes are Parquet, but no archive file')
    )
    await expect(first(Buffer.from('PAR1'))).rejects.toMatchObject(refused('the bytes are not an archive file'))
  })

  it('is read by DuckDB', async () => {
    const duck = await DuckDBInstance.create(':memory:')
    const connection = await duck.connect()
    const answer = await connection.runAndReadAll(
      `SELECT count(*), sum("offset"), sum(octet_length(value)), count(key), count(value), count(eventId),
         count(*) FILTER (eventType = 'köp'), count(userId), sum(epoch_ms(appendedAt) - ${firstAppendedAtMs}),
         sum(${firstAppendedAtMs} - epoch_ms("timestamp"))
       FROM read_parquet('${file}')`
    )
    expect(answer.getRowsJson()[0]?.map(String)).toEqual(expected)
    const types = await connection.runAndReadAll(`DESCRIBE SELECT * FROM read_parquet('${file}')`)
    expect(types.getRowsJson().map(([name, type]) => `${String(name)} ${String(type)}`)).toEqual([
      'topic VARCHAR',
      'partition INTEGER',
      'offset BIGINT',
      'appendedAt TIMESTAMP WITH TIME ZONE',
      'key BLOB',
      'headers VARCHAR',
      'value BLOB',
      'eventId VARCHAR',
      'eventType VARCHAR',
      'userId VARCHAR',
      'anonymousId VARCHAR',
      'sessionId VARCHAR',
      'timestamp TIMESTAMP WITH TIME ZONE',
      'receivedAt TIMESTAMP WITH TIME ZONE'
    ])
    connection.closeSync()
    duck.closeSync()
  })

  it('is read by ClickHouse', async () => {
    const log = createSilentLogger()
    await using clickhouse = await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' })
    const [answer] = await clickhouse.rows(
      `SELECT count() AS a, sum(offset) AS b, sum(length(value)) AS c, count(key) AS d, count(value) AS e,
         count(eventId) AS f, countIf(eventType = 'köp') AS g, count(userId) AS h,
         sum(toUnixTimestamp64Milli(appendedAt) - ${firstAppendedAtMs}) AS i,
         sum(${firstAppendedAtMs} - toUnixTimestamp64Milli(timestamp)) AS j
       FROM file('${file}', Parquet)`
    )
    expect(Object.values(answer ?? {}).map(String)).toEqual(expected)
  })
})
