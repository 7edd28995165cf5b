import { describe, expect, it } from 'vitest'
import { parseRetryAfter, retryWaitMs } from './retry.ts'

describe('retryWaitMs', () => {
  it('waits 1, 2, 4, 8, 8 s, and up to half as long again', () => {
    expect([1, 2, 3, 4, 5, 50].map((failures) => retryWaitMs(failures, 0, 0))).toEqual([
      1_000, 2_000, 4_000, 8_000, 8_000, 8_000
    ])
    expect([1, 4].map((failures) => retryWaitMs(failures, 0, 1))).toEqual([1_500, 12_000])
  })

  it('never waits less than the gateway asks for', () => {
    expect(retryWaitMs(1, 5_000, 0)).toBe(5_000)
    expect(retryWaitMs(1, 5_000, 0.5)).toBe(5_250)
    expect(retryWaitMs(3, 500, 0)).toBe(4_000)
  })
})

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 0, 1, 12)
  const inOneMinute = 'Thu, 01 Jan 2026 12:01:00 GMT'

  it.each([
    ['seconds', '7', null, 7_000],
    ['seconds with spaces', ' 7 ', null, 7_000],
    ['none', '0', null, 0],
    ['a date', inOneMinute, null, 60_000],
    ['a date, by the clock of the reply', inOneMinute, 'Thu, 01 Jan 2026 12:00:50 GMT', 10_000],
    ['a date that is over', 'Thu, 01 Jan 2026 11:00:00 GMT', null, 0],
    ['no header', null, null, 0],
    ['nonsense', 'soon', null, 0],
    ['a negative number', '-5', null, 0],
    ['more than an hour', '90000', null, 3_600_000],
    ['a far date', 'Thu, 01 Jan 2099 00:00:00 GMT', null, 3_600_000]
  ])('reads %s', (_name, header, date, expected) => {
    expect(parseRetryAfter(header, date, now)).toBe(expected)
  })
})
