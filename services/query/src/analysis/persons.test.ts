import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createPersonReader } from './persons.ts'

const merge = {
  id: '1',
  from_user_id: 'ann-2',
  into_user_id: 'ann',
  at: new Date(0),
  actor: 'test',
  reason: '',
  undone_at: null,
  undone_actor: null,
  undone_reason: null,
  changed: '1'
}

function setup() {
  const clock = createManualClock()
  const state = { isAway: false, asked: 0, rows: [merge] }
  const query = async (): Promise<never> => {
    state.asked++
    if (state.isAway) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'down')
    return state.rows as never
  }
  return { clock, state, persons: createPersonReader({ query }, clock) }
}

describe('persons of a project', () => {
  it('are read anew after ten seconds, and those known before stand in for an hour', async () => {
    const { clock, state, persons } = setup()
    expect((await persons.of('shop')).personOf('ann-2')).toEqual({ personId: 'ann', userIds: ['ann', 'ann-2'] })
    await persons.of('shop')
    expect(state.asked).toBe(1)
    await clock.advance(10_000)
    state.rows = []
    expect((await persons.of('shop')).personOf('ann-2').personId).toBe('ann-2')
    state.isAway = true
    await clock.advance(3_599_000)
    expect((await persons.of('shop')).personOf('x').personId).toBe('x')
    await clock.advance(1_000)
    await expect(persons.of('shop')).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    await expect(persons.of('blog')).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
  })
})
