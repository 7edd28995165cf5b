import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { defaultProjectSettings } from '@millrace/contracts'
import { createFaults } from '@millrace/service'
import type { AcceptDeps } from './accept.ts'
import type { Acceptance } from './acceptance.ts'
import { openFakeGateway, startMs } from '../test/fake-gateway.ts'
import { createMemoryIntake } from '../test/memory-intake.ts'

const project = { projectId: 'demo', logGeneration: 0, settings: defaultProjectSettings }
const batchUrl = '/v1/events/batch'
const json = { authorization: 'Bearer good', 'content-type': 'application/json' }
const stored = (value: Buffer | undefined) => JSON.parse(value?.toString() ?? '') as Record<string, unknown>
const nowText = new Date(startMs).toISOString()

describe('the events of a request', () => {
  it('become the same as when they are sent one by one', async () => {
    const event = fc.record(
      {
        eventId: fc.constantFrom('e1', 'e2', 'e3', 'e4', '', 7),
        eventType: fc.constantFrom('a', 'b', 'c d'),
        timestamp: fc.constantFrom('2026-02-28T00:00:00Z', 'today')
      },
      { requiredKeys: ['eventId', 'eventType'] }
    )
    const body = fc.oneof({ weight: 9, arbitrary: event.map((value) => JSON.stringify(value)) }, fc.constant('{'))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(body, { maxLength: 8 }), { maxLength: 4 }), async (requests) => {
        const together = createMemoryIntake()
        const apart = createMemoryIntake()
        for (const request of requests) {
          const bodies = request.map((text) => Buffer.from(text))
          const asOne = await together.accept(project, bodies, {})
          const oneByOne: Acceptance[] = []
          for (const each of bodies) oneByOne.push(...(await apart.accept(project, [each], {})))
          expect(asOne).toEqual(oneByOne)
        }
        expect(together.log).toEqual(apart.log)
      })
    )
  })

  it('are reserved, published and committed in one call each', async () => {
    const { accept, calls } = createMemoryIntake()
    const bodies = ['e1', 'e2', 'e1', 'e3'].map((eventId) => Buffer.from(JSON.stringify({ eventId, eventType: 'a' })))
    await accept(project, bodies, {})
    expect(calls).toEqual(['admit 3', 'publish 3', 'commit 3'])
  })

  it('ask nobody when none of them is an event', async () => {
    const { accept, calls } = createMemoryIntake()
    await accept(project, [Buffer.from('{}'), Buffer.from('[]')], {})
    await accept(project, [], {})
    expect(calls).toEqual([])
  })

  it('are turned away by a gate one by one, and the next gate sees only the others', async () => {
    const seen: string[][] = []
    const gate =
      (bad: string): AcceptDeps['gates'][number] =>
      (_project, events) => {
        seen.push(events.map(({ eventId }) => eventId))
        if (!events.some(({ eventId }) => eventId === bad)) return undefined
        return events.map(({ eventId }) =>
          eventId === bad ? { kind: 'retry', code: 'rate_limited', reason: 'rate_limited', eventId } : undefined
        )
      }
    const { send, published } = openFakeGateway({ gates: [gate('e1'), gate('e2')] })
    const events = ['e1', 'e2', 'e3'].map((eventId) => ({ eventId, eventType: 'a' }))
    const response = await send(JSON.stringify({ events }), json, batchUrl)
    expect([response.statusCode, seen, published.map(({ eventId }) => eventId)]).toEqual([
      207,
      [
        ['e1', 'e2', 'e3'],
        ['e2', 'e3']
      ],
      ['e3']
    ])
  })

  it('that all are over a limit are answered 429', async () => {
    const { send } = openFakeGateway({
      gates: [
        (_project, events) =>
          events.map(({ eventId }) => ({
            kind: 'retry',
            code: 'rate_limited',
            reason: 'rate_limited',
            eventId,
            retryAfterMs: 1_500
          }))
      ]
    })
    const response = await send('{"events":[{"eventId":"e1","eventType":"a"}]}', json, batchUrl)
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '2'])
  })

  it('get the key of the template of their project', async () => {
    const { send, published } = openFakeGateway({ settings: { keyTemplate: 'eventType:eventId' } })
    await send('{"eventId":"e1","eventType":"a"}')
    expect(published.map(({ key, eventId }) => [key, eventId])).toEqual([['a:e1', 'e1']])
  })
})

describe('the first receipt of an event', () => {
  it.each([
    ['no time and no UUIDv7', {}, { receivedAt: nowText }],
    ['a time in the future', { timestamp: '2026-03-01T00:00:01Z' }, { receivedAt: nowText }],
    [
      'a clock that is wrong by more than a minute',
      { timestamp: '2026-02-28T23:00:00Z', sentAt: '2026-02-28T23:58:59Z' },
      { receivedAt: nowText, sentAt: '2026-02-28T23:58:59Z' }
    ],
    ['a time in the past', { timestamp: '2026-02-28T23:00:00Z' }, undefined],
    ['a clock that is right', { timestamp: '2026-02-28T23:00:00Z', sentAt: '2026-02-28T23:59:30Z' }, undefined],
    ['the time inside a UUIDv7', { eventId: '019c0000-0000-7000-8000-000000000000' }, undefined]
  ])('is asked for with %s only where the event time depends on it', async (_name, members, receipt) => {
    const { send, asked } = openFakeGateway()
    await send(JSON.stringify({ eventId: 'e1', eventType: 'a', ...members }))
    expect(asked.map((item) => item.receipt)).toEqual([receipt])
  })

  it('is stored in place of this one', async () => {
    const { send, published } = openFakeGateway({ dedup: 'seen' })
    await send('{"eventId":"e1","eventType":"a"}')
    expect(stored(published[0]?.value)).toMatchObject({ receivedAt: '2026-02-28T12:00:00.000Z' })
    expect(stored(published[0]?.value)).not.toHaveProperty('sentAt')
  })

  it('without sentAt replaces that of the repeat, which would shift the time by the age of the receipt', async () => {
    const { send, published } = openFakeGateway({ dedup: 'seen' })
    await send(`{"eventId":"e1","eventType":"a","sentAt":"${nowText}"}`)
    expect(stored(published[0]?.value)).toMatchObject({
      receivedAt: '2026-02-28T12:00:00.000Z',
      sentAt: '2026-02-28T12:00:00.000Z'
    })
  })
})

describe('the sentAt of a batch', () => {
  const sentAt = '2026-02-28T23:00:00.000Z'

  it('stands for events that have none, in what is stored and in their time', async () => {
    const { send, published, asked } = openFakeGateway()
    const events = [
      { eventId: 'e1', eventType: 'a', timestamp: '2026-02-28T22:00:00Z' },
      { eventId: 'e2', eventType: 'a', timestamp: '2026-02-28T22:00:00Z', sentAt: '2026-02-28T23:59:59Z' }
    ]
    await send(JSON.stringify({ sentAt, events }), json, batchUrl)
    expect(published.map(({ value }) => stored(value)['sentAt'])).toEqual([sentAt, '2026-02-28T23:59:59Z'])
    expect(asked.map(({ receipt }) => receipt)).toEqual([{ receivedAt: nowText, sentAt }, undefined])
  })
})

describe('fault points', () => {
  it('are passed in this order, and cost nothing when no fault is armed', async () => {
    const passed: string[] = []
    const { accept } = createMemoryIntake({ at: (label) => void passed.push(label) })
    await accept(project, [Buffer.from('{"eventId":"e1","eventType":"a"}')], {})
    expect(passed).toEqual([
      'gateway.after-parse',
      'gateway.before-reserve',
      'gateway.after-reserve',
      'gateway.before-produce',
      'gateway.after-ack',
      'gateway.before-commit',
      'gateway.after-commit',
      'gateway.before-reply'
    ])
    expect(createFaults(undefined, false).at('gateway.after-parse')).toBeUndefined()
  })
})
