import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { createWholeLines } from './whole-lines.ts'

/** What comes through of `chunks`, and the code of what ended it. */
async function through(chunks: readonly string[]): Promise<readonly [string, unknown]> {
  let passed = ''
  const source = Readable.from(
    chunks.map((chunk) => Buffer.from(chunk)),
    { objectMode: false }
  )
  try {
    await pipeline(source, createWholeLines(), async (lines: AsyncIterable<Buffer>) => {
      for await (const chunk of lines) passed += chunk.toString()
    })
    return [passed, undefined]
  } catch (error) {
    return [passed, Reflect.get(error as object, 'code')]
  }
}

describe('lines of rows', () => {
  it('pass as they are, however they are cut', async () => {
    expect(await through(['{"a":1}\n{"a":', '2}\n', '{"a":"Code: 1"}', '\n'])).toEqual([
      '{"a":1}\n{"a":2}\n{"a":"Code: 1"}\n',
      undefined
    ])
    expect(await through([])).toEqual(['', undefined])
  })

  it.each([
    ['at the beginning of a chunk', ['{"a":1}\n', 'Code: 159. DB::Exception: late\n']],
    ['within a chunk', ['{"a":1}\n', '{"a":2}\nCode: 159. DB::Exception: late\n']],
    ['after an empty line', ['{"a":1}\n', '\r\n__exception__\r\n']]
  ])('end with an error where the engine tells one, %s', async (_where, chunks) => {
    const [passed, code] = await through(chunks)
    expect([passed.includes('Exception'), code]).toEqual([false, 'PIPE_CLICKHOUSE_QUERY'])
  })
})
