// docs/delivery.md: bad input is refused at the edge with the place that is wrong, and leaves nothing behind.
import { describe, expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { createEventFactory, badMakers } from '@millrace/testkit/event-factory'
import type { Pipeline } from '@millrace/testkit/pipeline'

export function badInput(one: () => Pipeline): void {
  describe('bad input over HTTP', () => {
    it('gets its own 4xx as problem+json, leaves nothing in Kafka, and the next good event is accepted', async () => {
      const pipeline = one()
      const project = await pipeline.createProject('bad')
      const factory = createEventFactory('bad', { run: project.projectId })
      const stored = async (): Promise<number> =>
        (await pipeline.admin.ranges(rawTopic(project.projectId))).reduce(
          (sum, { start, end }) => sum + Number(end - start),
          0
        )
      for (let index = 0; index < badMakers.length; index++) {
        const { name, body, status } = factory.bad()
        const refused = await pipeline.send(project, body)
        const problem = (await refused.json()) as { code?: unknown; pointer?: unknown }
        expect({ name, status: refused.status, type: refused.headers.get('content-type')?.split(';')[0] }).toEqual({
          name,
          status,
          type: 'application/problem+json'
        })
        expect(problem.code, name).toEqual(expect.any(String))
        if (status === 422) expect(problem.pointer, name).toEqual(expect.stringMatching(/^\//))
        expect(await stored(), `records in Kafka after ${name}`).toBe(index)
        expect((await pipeline.send(project, factory.event())).status, `after ${name}`).toBe(202)
        expect(await stored()).toBe(index + 1)
      }
    })

    it('is refused without a key or with an unknown one, before the body is looked at', async () => {
      const pipeline = one()
      const event = JSON.stringify(createEventFactory('nobody').event())
      const headers = { 'content-type': 'application/json' }
      const without = await fetch(pipeline.eventsUrl, { method: 'POST', headers, body: event })
      expect(without.status).toBe(401)
      const unknown = { ...headers, authorization: 'Bearer nonsense' }
      expect((await fetch(pipeline.eventsUrl, { method: 'POST', headers: unknown, body: event })).status).toBe(401)
    })
  })
}
