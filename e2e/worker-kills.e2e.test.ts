// docs/delivery.md: workers may die at any moment; every acknowledged event is visible exactly once afterwards.
import { describe, expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { createEventFactory } from '@millrace/testkit/event-factory'
import type { ClientEvent } from '@millrace/testkit/event-factory'
import { eventually } from '@millrace/testkit/eventually'
import { settle } from '@millrace/testkit/faults/check-project'
import { createHttpSender } from '@millrace/testkit/faults/http-sender'
import { scanTopic } from '@millrace/testkit/faults/scan-topic'
import { openE2e } from './open-e2e.ts'

describe('loader and processor, SIGKILLed twice each under load', () => {
  it('leave exactly 10,000 of 10,000 events in the view; 500 repeats get 409 and change nothing', async () => {
    const pipeline = await openE2e({ startEnv: faultOfStart })
    const project = await pipeline.createProject('kills')
    using sender = createHttpSender({
      url: pipeline.eventsUrl,
      writeKey: project.writeKey,
      timeoutMs: 15_000,
      maxConnections: 50
    })
    const factory = createEventFactory('kills', { run: project.projectId })
    const events = Array.from({ length: 10_000 }, () => factory.event())
    const send = (event: ClientEvent) => sender.post(JSON.stringify(event))

    expect(await statuses(events.slice(0, 4_000), send)).toEqual({ 202: 4_000 })
    for (const name of ['loader', 'processor'] as const) {
      const service = pipeline.services.service(name)
      await eventually(`${name} to have died by itself`, () => service.starts === 2, { timeoutMs: 60_000 })
    }
    const rest = statuses(events.slice(4_000), send)
    for (const name of ['loader', 'processor'] as const) {
      const service = pipeline.services.service(name)
      await eventually(`${name} to be up again`, () => service.state === 'up', { timeoutMs: 60_000 })
      service.kill('SIGKILL')
      await eventually(`${name} to be started again`, () => service.starts === 3, { timeoutMs: 30_000 })
    }
    expect(await rest).toEqual({ 202: 6_000 })

    const repeats = events.filter((_, index) => index % 20 === 0)
    expect(await statuses(repeats, send)).toEqual({ 409: 500 })
    await settle(pipeline, project.projectId)
    const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }
    expect(await scanTopic(scan, rawTopic(project.projectId))).toHaveLength(10_000)
    const visible = await pipeline.visibleIds(project.projectId)
    expect([...visible.keys()].toSorted()).toEqual(events.map(({ eventId }) => eventId).toSorted())
    expect([...visible.values()].every((times) => times === 1)).toBe(true)
    const { rows } = await pipeline.query(project, 'SELECT count() FROM events')
    expect(Number(rows[0]?.[0])).toBe(10_000)
  })
})

/** The first life of each worker ends between its first effect and its commit, however fast the events came in. */
function faultOfStart(name: string, start: number): Record<string, string> {
  if (start !== 1 || (name !== 'loader' && name !== 'processor')) return {}
  return { MILLRACE_FAULTS: 'consumer.after-handle:kill' }
}

/** Sends with 20 senders; how often each status was answered. */
async function statuses(
  events: readonly ClientEvent[],
  send: (event: ClientEvent) => Promise<{ readonly status: number }>
): Promise<Record<number, number>> {
  const counts: Record<number, number> = {}
  const queue = [...events]
  const sender = async (): Promise<void> => {
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      const { status } = await send(event)
      counts[status] = (counts[status] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: 20 }, sender))
  return counts
}
