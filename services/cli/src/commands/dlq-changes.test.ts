import { expect, it } from 'vitest'
import type { RedriveReport } from '@millrace/operations/redrive-letters'
import { toUnwanted } from './dlq-changes.ts'

const none = { landed: 0, failed: 0, waiting: 0, recounted: 0, refused: 0, gone: 0 }
const report = (outcomes: Partial<RedriveReport['outcomes']>, change: Partial<RedriveReport> = {}): RedriveReport => ({
  matched: 5,
  outcomes: { ...none, ...outcomes },
  dropped: 0,
  stopped: false,
  results: [],
  ...change
})

it('is content when every letter landed, is counted again or was given up as it was asked for', () => {
  expect(toUnwanted(report({ landed: 3, recounted: 2 }))).toBe('')
  expect(toUnwanted(report({ landed: 3, failed: 2 }, { dropped: 2 }))).toBe('')
})

it('names everything else, letters that retention took included', () => {
  expect(toUnwanted(report({ gone: 2 }))).toBe('2 were taken by retention meanwhile')
  expect(toUnwanted(report({ failed: 1, refused: 2, waiting: 3 }, { stopped: true }))).toBe(
    '1 failed again, 2 were not sent, 3 still wait for their group, the rest was not sent'
  )
})
