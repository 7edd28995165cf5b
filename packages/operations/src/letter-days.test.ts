import { describe, expect, it } from 'vitest'
import { enrich } from '@millrace/contracts'
import type { Row } from '@millrace/stores/postgres'
import { queueLetterDays } from './letter-days.ts'

const record = (value: string, appendedAtMs: number) => ({
  topic: 'events.shop',
  partition: 0,
  offset: 1n,
  appendedAtMs,
  value: Buffer.from(value)
})
const appendedAtMs = Date.parse('2026-06-05T00:00:10Z')

async function queued(broken: boolean): Promise<readonly unknown[]> {
  const asked: (readonly unknown[])[] = []
  const postgres = {
    query: <R extends Row>(_sql: string, values: readonly unknown[] = []) => {
      asked.push(values)
      return Promise.resolve<readonly R[]>([])
    }
  }
  const made = broken
    ? () => {
        throw new Error('a bug')
      }
    : enrich
  const event = '{"eventId":"e","eventType":"a","timestamp":"2026-06-01T10:00:00Z"}'
  await queueLetterDays({ postgres, enrich: made }, 'shop', [record(event, appendedAtMs), record('no', appendedAtMs)])
  return asked
}

describe('days of letters that are sent once more', () => {
  it('are those of their events and the ones before, and of the append when that is all there is', async () => {
    expect(await queued(false)).toEqual([['shop', ['2026-05-31', '2026-06-01', '2026-06-04', '2026-06-05'], 'letter']])
    expect(await queued(true)).toEqual([['shop', ['2026-06-04', '2026-06-05'], 'letter']])
  })
})
