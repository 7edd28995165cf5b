// The decision table of errors.
import { expect, it } from 'vitest'
import { AppError, errorCatalog } from '@millrace/kernel'
import type { ErrorCode } from '@millrace/kernel'
import { classify, recordWaitMs } from './retry-policy.ts'

const calm = new AbortController().signal
const aborted = AbortSignal.abort(new AppError('PIPE_DEADLINE', 'too late'))
const way = (error: unknown, signal = calm, isolateBugs = false) => classify(error, { isolateBugs }, signal)

it('waits for what is down, sets aside what is refused, and ends on what a person must mend', () => {
  const ways = { transient: 'transient', poison: 'culprit', fatal: 'failed' } as const
  for (const [code, { class: kind }] of Object.entries(errorCatalog))
    expect([code, way(new AppError(code as ErrorCode, '')).kind]).toEqual([code, ways[kind]])
})

it('names the reason of a refusal, from the error when it says, and tries again what a store may judge otherwise', () => {
  const refused = (details = {}) => way(new AppError('PIPE_CLICKHOUSE_REFUSED', '', { details }))
  expect(refused()).toEqual({ kind: 'culprit', reason: 'constraint', again: true })
  for (const reason of ['parse', 'schema', 'type', 'size'])
    expect(refused({ reason })).toEqual({ kind: 'culprit', reason, again: false })
  expect(refused({ reason: 'nonsense' })).toEqual({ kind: 'culprit', reason: 'constraint', again: true })
})

it('tries a refused record again after 1, 4 and 16 seconds, and not a fourth time', () => {
  expect([1, 2, 3, 4].map((refusals) => recordWaitMs(1_000, refusals))).toEqual([1_000, 4_000, 16_000, undefined])
  expect(recordWaitMs(0, 1)).toBeUndefined()
})

it.each([new TypeError('x'), new RangeError('x'), new Error('x'), 'text', undefined])('ends on a bug: %s', (error) => {
  expect(way(error)).toEqual({ kind: 'failed', error })
})

it('looks for the record of a bug only when told to, and only of the kinds a record can bring out', () => {
  const bug = { kind: 'culprit', reason: 'bug', again: false }
  expect(way(new TypeError('x'), calm, true)).toEqual(bug)
  expect(way(new RangeError('x'), calm, true)).toEqual(bug)
  expect(way(new Error('x'), calm, true).kind).toBe('failed')
})

it('takes an abort after the deadline for the deadline, and an abort without one for a bug', () => {
  const abort = new DOMException('aborted', 'AbortError')
  expect(way(abort, aborted)).toEqual({ kind: 'transient', error: aborted.reason })
  expect(way(aborted.reason, aborted).kind).toBe('transient')
  expect(way(abort).kind).toBe('failed')
  expect(way(new TypeError('x'), aborted).kind).toBe('failed')
})
