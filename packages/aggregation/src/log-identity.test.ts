import { describe, expect, it } from 'vitest'
import { compareLog } from './log-identity.ts'
import type { LogView } from './log-identity.ts'

describe('compareLog', () => {
  const at = { position: 10n, appendedAtMs: 500, clockMs: 500 }
  const log = (change: Partial<LogView> = {}): LogView => ({ start: 0n, end: 20n, appendedBeforeMs: 500, ...change })

  it('knows its log by the append time before the position', () => {
    expect(compareLog(at, log())).toEqual({ kind: 'same' })
    expect(compareLog(at, log({ appendedBeforeMs: 501 }))).toEqual({ kind: 'other' })
  })

  it('knows a log that ends before the position for another one', () => {
    expect(compareLog(at, log({ end: 9n }))).toEqual({ kind: 'other' })
  })

  it('goes on where there is nothing to compare', () => {
    expect(compareLog(at, log({ start: 10n, appendedBeforeMs: undefined }))).toEqual({ kind: 'same' })
    expect(compareLog({ ...at, appendedAtMs: -1 }, log())).toEqual({ kind: 'same' })
  })

  it('tells how much retention took', () => {
    expect(compareLog(at, log({ start: 13n }))).toEqual({ kind: 'expired', from: 13n, lost: 3n })
  })
})
