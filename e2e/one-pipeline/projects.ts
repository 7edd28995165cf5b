// docs/delivery.md: a project starts without a restart of anything, and sees its own events only.
import { describe, expect, it } from 'vitest'
import { createEventFactory } from '@millrace/testkit/event-factory'
import { eventually } from '@millrace/testkit/eventually'
import type { Pipeline, TestProject } from '@millrace/testkit/pipeline'

export function projects(one: () => Pipeline): void {
  describe('a project created while everything runs', () => {
    it('sends and reads its own events only', async () => {
      const pipeline = one()
      const first = await pipeline.createProject('first')
      const send = async (project: TestProject, events: number): Promise<void> => {
        const factory = createEventFactory(project.projectId)
        for (let index = 0; index < events; index++) {
          const event = factory.event({ properties: { secret: `of-${project.projectId}` } })
          expect((await pipeline.send(project, event)).status).toBe(202)
        }
      }
      const count = async (project: TestProject): Promise<number> =>
        Number((await pipeline.query(project, 'SELECT count() FROM events')).rows[0]?.[0])
      await send(first, 20)
      await eventually('the events of the first project', async () => (await count(first)) === 20, {
        timeoutMs: 40_000
      })
      const starts = pipeline.services.all.map((service) => service.starts)

      const second = await pipeline.createProject('second')
      await send(second, 7)
      await eventually('the events of the second project', async () => (await count(second)) === 7, {
        timeoutMs: 40_000
      })
      expect(pipeline.services.all.map((service) => service.starts)).toEqual(starts)
      expect(await count(first)).toBe(20)

      for (const [own, other] of [
        [first, second],
        [second, first]
      ] as const) {
        const { rows } = await pipeline.query(own, 'SELECT DISTINCT projectId, properties FROM events')
        expect(rows).toEqual([[own.projectId, JSON.stringify({ secret: `of-${own.projectId}` })]])
        const foreign = await pipeline.query(own, `SELECT count() FROM events WHERE projectId = '${other.projectId}'`)
        expect(Number(foreign.rows[0]?.[0])).toBe(0)
      }
    })

    it('keeps the same event id of two projects apart', async () => {
      const pipeline = one()
      const both = [await pipeline.createProject('left'), await pipeline.createProject('right')]
      const event = createEventFactory('same').event({ eventId: 'the-same-id' })
      for (const project of both) {
        const answer = await pipeline.send(project, event)
        expect(answer.status, await answer.text()).toBe(202)
      }
      for (const { projectId } of both) {
        const visible = async (): Promise<boolean> => (await pipeline.visibleIds(projectId)).size === 1
        await eventually(`the event of ${projectId}`, visible, { timeoutMs: 40_000 })
      }
    })

    it('can neither read with a write key nor send with a foreign or unknown one', async () => {
      const pipeline = one()
      const project = await pipeline.createProject('keys')
      const event = createEventFactory('keys').event()
      const read = await fetch(`${pipeline.services.service('query').url}/v1/query?sql=SELECT%201%20FROM%20events`, {
        headers: { authorization: `Bearer ${project.writeKey}` }
      })
      expect(read.status).toBe(403)
      const unknown = {
        ...project,
        writeKey: `${project.writeKey.slice(0, -1)}${project.writeKey.endsWith('a') ? 'b' : 'a'}`
      }
      expect((await pipeline.send(unknown, event)).status).toBe(401)
    })
  })
}
