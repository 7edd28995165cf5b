// docs/schemas.md: an enforced schema refuses with the place, a warning one lets pass, and the row says what was checked.
import { describe, expect, it } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import type { Pipeline } from '@millrace/testkit/pipeline'

const schema = { type: 'object', required: ['amount'], properties: { amount: { type: 'number' } } }

export function schemas(one: () => Pipeline): void {
  describe('a schema of a project', () => {
    it('refuses what breaks it where it is enforced, and its version is in the row of what passed', async () => {
      const pipeline = one()
      const project = await pipeline.createProject('schemas')
      await pipeline.pushSchema(project, 'purchase', schema, 'enforce')
      await pipeline.pushSchema(project, 'refund', schema, 'warn')

      const event = (eventId: string, eventType: string, amount: unknown) => ({
        eventId,
        eventType,
        properties: { amount }
      })
      const refused = await pipeline.send(project, event('p-1', 'purchase', '12'))
      expect({ status: refused.status, body: await refused.json() }).toMatchObject({
        status: 422,
        body: { code: 'schema_mismatch', pointer: '/properties/amount', expected: 'must be number', version: 1 }
      })
      for (const each of [event('p-1', 'purchase', 12), event('r-1', 'refund', '12'), event('x-1', 'other', '12')])
        expect((await pipeline.send(project, each)).status).toBe(202)
      const rows = await eventually(
        'three events in SQL',
        async () => {
          const { rows } = await pipeline.query(project, 'SELECT eventId, schemaVersion FROM events ORDER BY eventId')
          return rows.length === 3 && rows
        },
        { timeoutMs: 40_000 }
      )
      expect(rows).toEqual([
        ['p-1', 1],
        ['r-1', 0],
        ['x-1', 0]
      ])
    })
  })
}
