import { expect, it } from 'vitest'
import type { Row } from '@millrace/stores/postgres'
import { queueLoadedDays } from './loaded-days.ts'

const dayOf = (date: string): number => Date.parse(`${date}T00:00:00Z`)
const days = new Map([
  ['shop', new Set([dayOf('2026-06-02'), dayOf('2026-06-01')])],
  ['blog', new Set([dayOf('2026-06-09')])]
])

async function queued(isWhole: boolean) {
  const asked: (readonly unknown[])[] = []
  const postgres = {
    query: <R extends Row>(_sql: string, values: readonly unknown[] = []) => {
      asked.push(values)
      return Promise.resolve<readonly R[]>([])
    }
  }
  return { count: await queueLoadedDays(postgres, { isWhole, days }), asked }
}

it('queues the days that were loaded and those before, of each project', async () => {
  expect(await queued(true)).toEqual({
    count: 5,
    asked: [
      ['shop', ['2026-05-31', '2026-06-01', '2026-06-02'], 'rebuild'],
      ['blog', ['2026-06-08', '2026-06-09'], 'rebuild']
    ]
  })
})

it('queues none when something is missing: what was counted while it was there is better', async () => {
  expect(await queued(false)).toEqual({ count: 0, asked: [] })
})
