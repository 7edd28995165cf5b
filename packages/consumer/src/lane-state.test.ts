import { expect, it } from 'vitest'
import { laneStates, mayBecome } from './lane-state.ts'

it('allows the moves of the table and no other', () => {
  const moves = laneStates.map((from) => `${from}: ${laneStates.filter((to) => mayBecome(from, to)).join(' ')}`)
  expect(moves).toEqual([
    'filling: flushing fenced failed',
    'flushing: filling waiting committing fenced failed',
    'waiting: flushing committing fenced failed',
    'committing: filling waiting fenced failed',
    'fenced: ',
    'failed: '
  ])
})
