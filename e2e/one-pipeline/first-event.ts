// docs/delivery.md: 202 means stored, 409 means stored before, and an event is in SQL seconds later, once.
import { describe, expect, it } from 'vitest'
import { createEventFactory } from '@millrace/testkit/event-factory'
import { eventually } from '@millrace/testkit/eventually'
import type { Pipeline } from '@millrace/testkit/pipeline'

export function firstEvent(one: () => Pipeline): void {
  describe('an event', () => {
    it('is counted in SQL and live within 5 s of its 202, and a second sending gets 409 and changes nothing', async () => {
      const pipeline = one()
      const project = await pipeline.createProject('first')
      const factory = createEventFactory('first', { run: project.projectId })
      const count = async (): Promise<unknown> =>
        (await pipeline.query(project, 'SELECT count() FROM events')).rows[0]?.[0]

      const warm = await pipeline.send(project, factory.event())
      expect(warm.status).toBe(202)
      await eventually('the first event of the project in SQL', async () => Number(await count()) === 1, {
        timeoutMs: 40_000
      })

      const event = factory.event({ eventType: 'purchase', userId: 'ann' })
      const accepted = await pipeline.send(project, event)
      expect({ status: accepted.status, body: await accepted.json() }).toEqual({
        status: 202,
        body: { status: 'accepted', eventId: event.eventId }
      })
      await eventually('the second event in SQL', async () => Number(await count()) === 2)
      const stored = await pipeline.query(
        project,
        `SELECT eventType, userId FROM events WHERE eventId = '${event.eventId}'`
      )
      expect(stored.rows).toEqual([['purchase', event.userId ?? '']])
      const purchases = await pipeline.query(project, "SELECT COUNT(*) FROM events WHERE eventType='purchase'")
      expect(Number(purchases.rows[0]?.[0])).toBeGreaterThanOrEqual(1)

      const live = (): Promise<number> => pipeline.liveEvents(project.projectId)
      await eventually('both in the live window', async () => (await live()) === 2)
      expect(await pipeline.liveEvents(project.projectId, 'purchase')).toBeGreaterThanOrEqual(1)

      const again = await pipeline.send(project, event)
      expect({ status: again.status, body: await again.json() }).toMatchObject({
        status: 409,
        body: { status: 'duplicate', eventId: event.eventId }
      })
      let counted = 2
      const tookMs: number[] = []
      while (tookMs.length < 4) {
        expect((await pipeline.send(project, factory.event())).status).toBe(202)
        const acceptedMs = performance.now()
        counted++
        await eventually(`event ${counted} in SQL`, async () => Number(await count()) === counted)
        await eventually(`event ${counted} in the live window`, async () => (await live()) === counted)
        tookMs.push(Math.round(performance.now() - acceptedMs))
      }
      // One of them may have met a machine that did something else.
      const inTime = tookMs.filter((ms) => ms < 5_000)
      expect(inTime.length, `${tookMs.join(', ')} ms`).toBeGreaterThanOrEqual(3)
      expect((await pipeline.visibleIds(project.projectId)).size).toBe(counted)

      const get = async (path: string) => {
        const headers = { authorization: `Bearer ${project.secretKey}` }
        const response = await fetch(`${pipeline.services.service('query').url}/v1/${path}`, { headers })
        const { status } = response
        return {
          status,
          cache: response.headers.get('x-cache'),
          body: (await response.json()) as Record<string, unknown>
        }
      }
      const sql = new URLSearchParams({ sql: "SELECT COUNT(*) FROM events WHERE eventType='purchase'" }).toString()
      const [made, sent] = [await get(`query?${sql}`), await get(`query?${sql}`)]
      expect([made.status, made.cache, sent.cache, sent.body]).toEqual([200, 'MISS', 'HIT', made.body])
      expect(made.body['rows']).toEqual(purchases.rows)
      const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)
      const users = await get(`metrics/daily_active_users?startTime=${day(-1)}&endTime=${day(1)}`)
      expect([users.status, users.body['metric']]).toEqual([200, 'daily_active_users'])
      const days = users.body['data'] as readonly { readonly uniqueUsers?: number }[]
      expect(days.reduce((sum, { uniqueUsers = 0 }) => sum + uniqueUsers, 0)).toBeGreaterThanOrEqual(1)
      const timeline = await get('users/ann/events?eventType=purchase')
      expect(timeline.body['events']).toMatchObject([{ eventId: event.eventId, eventType: 'purchase' }])
    })
  })
}
