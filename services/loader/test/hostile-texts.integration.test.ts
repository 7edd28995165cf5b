// Texts that mean something to the format of the inserts, written by us and read back from the real engine.
import { expect, it } from 'vitest'
import { enrich, eventColumns, rawTopic } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { createEventLines } from '@millrace/warehouse/event-line'
import { insertLines } from '@millrace/warehouse/insert'

const letters = ['\0', '\b', '\f', '\r', '\n', '\t', '\v', '\\', "'", '"', '`', '\u007f', '\u001b']
const pairs = ['\\N', '\\\\N', '\\n', '\\0', '\\x41', '\r\n', '\\\t', '\t\\', 'NULL', '\\N\t\\N\n']
const points = [
  '\u0080',
  '\u07ff',
  '\u0800',
  '\u2028',
  '\ud7ff',
  '\ue000',
  '\ufeff',
  '\uffff',
  '\u{10000}',
  '\u{10ffff}'
]
const halves = ['\ud800', '\udfff', 'a\ud83d\tb', '\ude00\ud83d', '\ud83d\ud83d\ude00', '\udbff']
const texts = [...letters, ...pairs, ...points, ...halves].flatMap((text) => [
  text,
  `a${text}`,
  `${text}b`,
  text.repeat(3)
])

it('reads every text back as it was written, half a surrogate pair as U+FFFD', async () => {
  const log = createSilentLogger()
  await using databases = await openTestDatabases('hostile')
  const { clickhouseUrl: url } = databases
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log })
  await using clickhouse = await openClickhouse({ url, log, applicationName: 'test' })
  const value = Buffer.from('{"eventId":"e","eventType":"view","timestamp":"2026-06-01T00:00:00Z"}')
  const enriched = enrich({ topic: rawTopic('shop'), partition: 0, offset: 0n, appendedAtMs: Date.UTC(2026, 5), value })
  if (!enriched.ok) throw new Error('an event is expected')
  const toLine = createEventLines()
  // The first text, one in the middle beside a NULL, and one before a number.
  const lines = texts.map((text, index) =>
    toLine({ ...enriched.row, eventId: String(index), userId: text, sentAt: null, url: text, properties: text })
  )
  await insertLines(clickhouse, { name: 'events_raw', columns: eventColumns }, lines)
  const rows = await clickhouse.rows<{ userId: string; sentAt: null; url: string; properties: string }>(
    'SELECT userId, sentAt, url, properties FROM events_raw ORDER BY toUInt32(eventId)'
  )
  expect(rows).toEqual(
    texts.map((text) => {
      const kept = text.toWellFormed()
      return { userId: kept, sentAt: null, url: kept, properties: kept }
    })
  )
  const bytes = await clickhouse.rows<{ bytes: string }>(
    'SELECT hex(userId) AS bytes FROM events_raw ORDER BY toUInt32(eventId)'
  )
  expect(bytes.map((row) => row.bytes.toLowerCase())).toEqual(
    texts.map((text) => Buffer.from(text.toWellFormed()).toString('hex'))
  )
})
