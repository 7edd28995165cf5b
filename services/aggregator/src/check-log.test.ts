import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { checkLog } from './check-log.ts'

/** A log of one partition: append times by offset from `start` on. */
function logOf(start: bigint, times: readonly number[]) {
  return {
    ranges: async (topic: string) => [{ topic, partition: 0, start, end: start + BigInt(times.length) }],
    offsetsAt: async (_topic: string, timeMs: number) => {
      const found = times.findIndex((time) => time >= timeMs)
      return new Map([[0, start + BigInt(found < 0 ? times.length : found)]])
    }
  }
}

const verdictOf = async (log: ReturnType<typeof logOf>, position: bigint, appendedAtMs: number) => {
  const states = new Map([[0, { position, appendedAtMs, clockMs: -1 }]])
  return (await checkLog(log, 'events.p', states)).get(0)?.verdict.kind
}

describe('checkLog', () => {
  it.each([
    ['the record before the position has the stored time', logOf(0n, [10, 20, 20, 30]), 3n, 20, 'same'],
    ['the position is the end', logOf(0n, [10, 20]), 2n, 20, 'same'],
    ['a clock went back before the position', logOf(0n, [10, 40, 20, 50]), 3n, 20, 'same'],
    ['nothing was applied', logOf(0n, [10]), 0n, -1, 'same'],
    ['retention took what is before the position', logOf(7n, [10]), 7n, 5, 'same'],
    ['retention took more than was applied', logOf(7n, [10]), 5n, 5, 'expired'],
    ['the log ends before the position', logOf(0n, [10]), 2n, 20, 'other'],
    ['all records are younger than the stored time', logOf(0n, [100, 110, 120]), 2n, 20, 'other'],
    ['all records are older than the stored time', logOf(0n, [1, 2, 3]), 2n, 20, 'other']
  ] as const)('when %s', async (_what, log, position, appendedAtMs, kind) => {
    expect(await verdictOf(log, position, appendedAtMs)).toBe(kind)
  })

  it('takes a topic that is gone for an empty log', async () => {
    const gone = { ...logOf(0n, []), ranges: () => Promise.reject(new AppError('PIPE_TOPIC_MISSING', 'gone')) }
    expect(await verdictOf(gone, 3n, 20)).toBe('other')
    expect(await verdictOf(gone, 0n, -1)).toBe('same')
  })

  it('waits for a cluster that does not answer', async () => {
    const down = { ...logOf(0n, []), ranges: () => Promise.reject(new AppError('PIPE_KAFKA_UNAVAILABLE', 'down')) }
    await expect(verdictOf(down, 3n, 20)).rejects.toThrow('down')
  })
})
