import { expect, it } from 'vitest'
import { unknownOf } from './trail.ts'

const trail = { projectId: 'shop', eventId: 'e-1', place: undefined, letters: [], problems: [] }
const place = { topic: 'events.shop', partition: 0, offset: 1n, appendedAt: '' }

it('says that nobody knows of an event only when everybody was asked', () => {
  expect(unknownOf({ ...trail, place, problems: ['warehouse: away'] })).toBeUndefined()
  expect(unknownOf(trail)).toMatchObject({
    code: 'PIPE_NOT_FOUND',
    message: "nobody knows of 'e-1' in shop; --around searches the log"
  })
  const text = "whether 'e-1' is in shop is not known: raw_events: away; ask again, or --around searches the log"
  expect(unknownOf({ ...trail, problems: ['raw_events: away'] })).toMatchObject({
    code: 'PIPE_POSTGRES_UNAVAILABLE',
    message: text
  })
  expect(unknownOf({ ...trail, problems: ['warehouse: away'] })?.code).toBe('PIPE_CLICKHOUSE_UNAVAILABLE')
})
