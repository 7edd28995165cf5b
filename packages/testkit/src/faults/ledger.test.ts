import { mkdtempSync, appendFileSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openLedger, readLedger } from './ledger.ts'
import type { LedgerEntry } from './ledger.ts'

describe('the ledger', () => {
  const entry = (eventId: string): LedgerEntry => ({
    eventId,
    kind: 'event',
    attempt: 1,
    sentNs: '123456789012345678',
    tookMs: 3,
    end: 'answered',
    status: 202,
    code: 'accepted',
    bodyHash: 'abc'
  })

  it('has an entry on disk when append resolves, in order, also for many at once', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ledger-')), 'a.jsonl')
    await using ledger = await openLedger(file)
    await ledger.append(entry('first'))
    expect(readFileSync(file, 'utf8')).toBe(`${JSON.stringify(entry('first'))}\n`)
    await Promise.all(Array.from({ length: 200 }, (_, index) => ledger.append(entry(`e${index}`))))
    expect((await readLedger(file)).map(({ eventId }) => eventId)).toEqual([
      'first',
      ...Array.from({ length: 200 }, (_, index) => `e${index}`)
    ])
  })

  it('leaves a torn last line out', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ledger-')), 'a.jsonl')
    {
      await using ledger = await openLedger(file)
      await ledger.append(entry('whole'))
    }
    appendFileSync(file, '{"eventId":"to')
    expect(await readLedger(file)).toEqual([entry('whole')])
  })

  it('never continues an old ledger', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ledger-')), 'a.jsonl')
    await (await openLedger(file))[Symbol.asyncDispose]()
    await expect(openLedger(file)).rejects.toThrow('EEXIST')
  })
})
