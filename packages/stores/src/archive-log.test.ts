import { describe, expect, it } from 'vitest'
import { isSameLog } from './archive-log.ts'

const head = { topic: 'events.a', partition: 0, epoch: 3, position: 10n, appendedAtMs: 500 }
/** Whether a log that begins at `start` with records of these append times may be the one of `head`. */
async function isSame(start: bigint, times: readonly number[]): Promise<boolean> {
  const offsetsAt = async (_topic: string, timeMs: number) => {
    const found = times.findIndex((time) => time >= timeMs)
    return new Map([[0, start + BigInt(found < 0 ? times.length : found)]])
  }
  return await isSameLog({ offsetsAt }, head, { start, end: start + BigInt(times.length) })
}
const upTo = (count: number, lastMs: number) => Array.from({ length: count }, (_, index) => lastMs - count + 1 + index)

describe('a log', () => {
  it('is the same when it goes on behind the archived records', async () => {
    expect(await isSame(0n, [...upTo(10, 500), 500, 501])).toBe(true)
    expect(await isSame(0n, upTo(10, 500))).toBe(true)
    expect(await isSame(8n, [499, 500, 600])).toBe(true)
    expect(await isSame(10n, [600])).toBe(true)
    expect(await isSame(12n, [600])).toBe(true)
  })

  it('is another one when it is shorter, or was begun after the last archived record', async () => {
    expect(await isSame(0n, upTo(9, 500))).toBe(false)
    expect(await isSame(0n, upTo(12, 700))).toBe(false)
  })
})
