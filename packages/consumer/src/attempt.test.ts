// The decision table of errors.
import { expect, it } from 'vitest'
import { AppError, errorCatalog } from '@millrace/kernel'
import type { ErrorCode } from '@millrace/kernel'
import { classify } from './attempt.ts'
import { defaultSettings } from './settings.ts'

const settings = defaultSettings({ maxRows: 1, maxBytes: 1, maxAgeMs: 1, scope: 'lane' })
const calm = new AbortController().signal
const aborted = AbortSignal.abort(new AppError('PIPE_DEADLINE', 'too late'))
const way = (error: unknown, signal = calm, isolateBugs = false) =>
  classify(error, { ...settings, isolateBugs }, signal)

it('waits for what is down, sets aside what is refused, and ends on what a person must mend', () => {
  const ways = { transient: 'transient', poison: 'culprit', fatal: 'failed' } as const
  for (const [code, { class: kind }] of Object.entries(errorCatalog))
    expect([code, way(new AppError(code as ErrorCode, '')).kind]).toEqual([code, ways[kind]])
})

it('names the reason of a refusal, from the error when it says', () => {
  expect(way(new AppError('PIPE_CLICKHOUSE_REFUSED', ''))).toEqual({ kind: 'culprit', reason: 'constraint' })
  const details = { reason: 'size' }
  expect(way(new AppError('PIPE_CLICKHOUSE_REFUSED', '', { details }))).toEqual({ kind: 'culprit', reason: 'size' })
})

it.each([new TypeError('x'), new RangeError('x'), new Error('x'), 'text', undefined])('ends on a bug: %s', (error) => {
  expect(way(error)).toEqual({ kind: 'failed', error })
})

it('looks for the record of a bug only when told to, and only of the kinds a record can bring out', () => {
  expect(way(new TypeError('x'), calm, true)).toEqual({ kind: 'culprit', reason: 'bug' })
  expect(way(new RangeError('x'), calm, true)).toEqual({ kind: 'culprit', reason: 'bug' })
  expect(way(new Error('x'), calm, true).kind).toBe('failed')
})

it('takes an abort after the deadline for the deadline, and an abort without one for a bug', () => {
  const abort = new DOMException('aborted', 'AbortError')
  expect(way(abort, aborted)).toEqual({ kind: 'transient', error: aborted.reason })
  expect(way(aborted.reason, aborted).kind).toBe('transient')
  expect(way(abort).kind).toBe('failed')
  expect(way(new TypeError('x'), aborted).kind).toBe('failed')
})
