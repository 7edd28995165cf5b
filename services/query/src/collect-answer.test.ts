import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createByteBudget } from './byte-budget.ts'
import { collectAnswer, smallBytes } from './collect-answer.ts'

function setup(maxBytes = 4 * smallBytes) {
  const budget = createByteBudget({ bytes: 2 * maxBytes, waitMs: 0, clock: createManualClock() })
  const { signal } = new AbortController()
  const reserve = (bytes: number) => budget.reserve({ projectId: 'shop', bytes, signal })
  const collect = (chunks: Iterable<Buffer>) =>
    collectAnswer(Readable.from(chunks, { objectMode: false }), { maxBytes, reserve })
  return { budget, collect }
}

const chunk = (bytes: number, text = 'x'): Buffer => Buffer.alloc(bytes, text)

describe('collectAnswer', () => {
  it('takes small answers as they are', async () => {
    const { budget, collect } = setup()
    const { body, lease } = await collect([chunk(3, 'a'), chunk(2, 'b')])
    expect([body.toString(), lease, budget.held]).toEqual(['aaabb', undefined, 0])
    expect((await collect([])).body.byteLength).toBe(0)
    expect((await collect([chunk(smallBytes)])).lease).toBeUndefined()
  })

  it('counts a large answer by its length until it is released', async () => {
    const { budget, collect } = setup()
    const parts = Array.from({ length: 30 }, (_, index) => chunk(65_536, String(index % 10)))
    const { body, lease } = await collect(parts)
    expect(body.equals(Buffer.concat(parts))).toBe(true)
    expect(budget.held).toBe(30 * 65_536)
    lease?.release()
    expect(budget.held).toBe(0)
  })

  it('gives up on one that is too long or breaks off, and holds nothing then', async () => {
    const { budget, collect } = setup()
    const endless = Array.from({ length: 100 }, () => chunk(65_536))
    await expect(collect(endless)).rejects.toMatchObject({ details: { limit: 'result_bytes' } })
    const broken = (function* () {
      for (let count = 0; count < 40; count++) yield chunk(65_536)
      throw new Error('cut')
    })()
    await expect(collect(broken)).rejects.toThrow('cut')
    expect(budget.held).toBe(0)
    await expect(setup(10).collect([chunk(11)])).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_QUERY' })
  })
})
