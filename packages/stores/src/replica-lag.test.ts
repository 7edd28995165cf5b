import { describe, expect, it } from 'vitest'
import { createPrimaryLog, parseLsn } from './replica-lag.ts'

describe('createPrimaryLog', () => {
  it('says until when a replica has everything: the last answer of the primary that it has reached', () => {
    const log = createPrimaryLog(10_000)
    log.note(100n, 1_000)
    log.note(150n, 2_000)
    log.note(150n, 3_000)
    log.note(200n, 4_000)
    expect([99n, 100n, 149n, 150n, 199n, 200n, 300n].map((lsn) => log.wholeUntil(lsn))).toEqual([
      Number.NEGATIVE_INFINITY,
      1_000,
      1_000,
      3_000,
      3_000,
      4_000,
      4_000
    ])
    expect([log.hasAll(199n), log.hasAll(200n)]).toEqual([false, true])
  })

  it('does not take a primary without writes for one that replicas are behind of', () => {
    const log = createPrimaryLog(10_000)
    for (const atMs of [0, 5_000, 60_000]) log.note(100n, atMs)
    expect(log.wholeUntil(100n)).toBe(60_000)
  })

  it('forgets what is too long ago, and everything of a primary that had more than the present one', () => {
    const log = createPrimaryLog(1_000)
    log.note(100n, 0)
    log.note(200n, 2_000)
    expect(log.wholeUntil(150n)).toBe(Number.NEGATIVE_INFINITY)
    log.note(120n, 3_000)
    expect(log.wholeUntil(150n)).toBe(3_000)
    expect(log.hasAll(120n)).toBe(true)
  })

  it('knows nothing before the primary has answered: nothing is missing then', () => {
    expect(createPrimaryLog(1_000).wholeUntil(5n)).toBe(Number.NEGATIVE_INFINITY)
    expect(createPrimaryLog(1_000).hasAll(5n)).toBe(true)
  })
})

it.each([
  ['0/0', 0n],
  ['16/B374D848', 0x16b374d848n],
  ['FFFFFFFF/ffffffff', 2n ** 64n - 1n],
  ['', undefined],
  ['1', undefined],
  ['100000000/0', undefined],
  [null, undefined]
])('%s as a number', (text, lsn) => expect(parseLsn(text)).toBe(lsn))
