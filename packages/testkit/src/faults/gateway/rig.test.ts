import { describe, expect, it } from 'vitest'
import type { LedgerEntry } from '../ledger.ts'
import { complain, recoveryOf } from './rig.ts'

const at = (sentMs: number, tookMs: number, status = 202): LedgerEntry => ({
  eventId: `e${sentMs}`,
  kind: 'event',
  attempt: 1,
  sentNs: String(BigInt(sentMs) * 1_000_000n),
  tookMs,
  end: 'answered',
  status,
  code: status === 202 ? 'accepted' : 'unavailable',
  bodyHash: 'h'
})
const ns = (ms: number): bigint => BigInt(ms) * 1_000_000n

describe('recoveryOf', () => {
  it('is the longest time from an end of a fault to the next acknowledgement', () => {
    const ledger = [at(10, 5), at(90, 40, 503), at(100, 50), at(400, 10), at(300, 600)]
    expect(recoveryOf(ledger, [ns(60), ns(390)])).toBe(90)
    expect(recoveryOf(ledger, [ns(390)])).toBe(20)
  })

  it('is not known without a fault, or without an acknowledgement after it', () => {
    expect(recoveryOf([at(10, 5)], [])).toBeUndefined()
    expect(recoveryOf([at(10, 5)], [ns(100)])).toBeUndefined()
  })
})

describe('complain', () => {
  it('is a violation that shows the entries, or none', () => {
    expect(complain('edge', 'turned away', [])).toEqual([])
    expect(complain('edge', 'turned away', [at(1, 2, 503)])).toEqual([
      { invariant: 'edge', problem: 'turned away', count: 1, examples: ['e1 (answered 503 unavailable after 2 ms)'] }
    ])
  })
})
