// An answer in JSONCompact, https://clickhouse.com/docs/interfaces/formats/JSONCompact, as ours. Rows are the larger part by
// far and stay the bytes that they are; only what stands before and after them is read. Pure.
import { toAnswer } from './run-query.ts'
import type { QueryAnswer } from './run-query.ts'

export interface JsonAnswer {
  /** `{columns, rows, rowCount, stats}`; the bytes of the rows are those that were given, in the same memory. */
  readonly body: Buffer
  readonly stats: QueryAnswer['stats']
}

/** No text in JSON has a line break, so at the start of a line these are what they seem. */
const beforeRows = Buffer.from('\n\t"data":\n\t[')
const afterRows = Buffer.from('\n\t]')

/** The answer of the engine in our shape. The memory of `compact` may be written to. */
export function toJsonAnswer(compact: Buffer): JsonAnswer {
  const start = compact.indexOf(beforeRows)
  const opened = start + beforeRows.byteLength
  const to = start < 0 ? -1 : compact.indexOf(afterRows, opened)
  // Another server may lay it out otherwise.
  if (to < 0) return whole(toAnswer(compact))
  // Without rows, what is around them is an answer, too.
  const around = Buffer.concat([compact.subarray(0, opened), compact.subarray(to)])
  const { columns, rowCount, stats } = toAnswer(around)
  let from = opened
  while (from < to && isSpace(compact[from])) from++
  const first = Buffer.from(`{"columns":${JSON.stringify(columns)},"rows":[`)
  const last = Buffer.from(`],"rowCount":${rowCount},"stats":${JSON.stringify(stats)}}`)
  if (first.byteLength > from || last.byteLength > compact.byteLength - to) {
    return { body: Buffer.concat([first, compact.subarray(from, to), last]), stats }
  }
  compact.set(first, from - first.byteLength)
  compact.set(last, to)
  return { body: compact.subarray(from - first.byteLength, to + last.byteLength), stats }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x0a || byte === 0x09 || byte === 0x20
}

function whole(answer: QueryAnswer): JsonAnswer {
  return { body: Buffer.from(JSON.stringify(answer)), stats: answer.stats }
}
