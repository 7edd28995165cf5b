import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { createEventFactory } from '../event-factory.ts'
import type { Answer } from './http-sender.ts'
import type { LedgerEntry } from './ledger.ts'
import { isUnknown, startLoad } from './load-client.ts'
import type { LoadOptions } from './load-client.ts'

const answered = (status: number, code = '', retryAfterMs?: number): Answer => ({
  end: 'answered',
  status,
  code,
  retryAfterMs
})

function world(answer: (eventId: string, times: number) => Answer, over: Partial<LoadOptions> = {}) {
  const clock = createManualClock()
  const ledger: LedgerEntry[] = []
  const times = new Map<string, number>()
  const sentAt: number[] = []
  const load = startLoad({
    clock,
    seed: 1,
    factory: createEventFactory(1, { now: clock.now }),
    pace: { kind: 'closed', senders: 2 },
    ledger: { append: async (entry) => void ledger.push(entry) },
    sender: {
      async post(body) {
        const id = /1-\d{7}/.exec(Buffer.from(body).toString('latin1'))?.[0] ?? ''
        times.set(id, (times.get(id) ?? 0) + 1)
        sentAt.push(clock.monotonic())
        return answer(id, times.get(id) ?? 0)
      }
    },
    ...over
  })
  return { clock, ledger, load, sentAt }
}

describe('startLoad', () => {
  it('sends each event once when every answer is final', async () => {
    const { load, ledger } = world(() => answered(202, 'accepted'), { events: 20 })
    await load.done
    expect(load.counts()).toMatchObject({ attempts: 20, accepted: 20, duplicates: 0, refused: 0, unknown: 0 })
    expect(new Set(ledger.map(({ eventId }) => eventId)).size).toBe(20)
  })

  it('repeats the same bytes until the answer is final, and writes every attempt down', async () => {
    const answers: Answer[] = [
      answered(503, 'unavailable', 1_000),
      { end: 'cut', status: 0, code: '', retryAfterMs: undefined },
      answered(429, 'rate_limited', 500),
      answered(409, 'duplicate')
    ]
    const { load, ledger, clock, sentAt } = world((_id, times) => answers[times - 1] ?? answered(500), { events: 1 })
    await clock.advance(10_000)
    await load.done
    expect(ledger.map(({ attempt, end, status, code }) => [attempt, end, status, code])).toEqual([
      [1, 'answered', 503, 'unavailable'],
      [2, 'cut', 0, ''],
      [3, 'answered', 429, 'rate_limited'],
      [4, 'answered', 409, 'duplicate']
    ])
    expect(new Set(ledger.map(({ bodyHash }) => bodyHash)).size).toBe(1)
    expect(sentAt[1]).toBe(1_000)
    expect(load.counts()).toMatchObject({ attempts: 4, duplicates: 1, unknown: 1, unresolved: 0 })
  })

  it('gives an event up as unresolved', async () => {
    const { load, clock } = world(() => answered(503, 'unavailable'), { events: 1, giveUpAfterMs: 5_000 })
    await clock.advance(20_000)
    await load.done
    expect(load.counts()).toMatchObject({ unresolved: 1, accepted: 0 })
  })

  it('repeats acknowledged events and adds bad ones by seed', async () => {
    const run = async (seed: number): Promise<string[]> => {
      const { load, ledger } = world((_id, times) => answered(times > 1 ? 409 : 202), {
        seed,
        events: 200,
        repeatShare: 0.1,
        badShare: 0.05,
        pace: { kind: 'closed', senders: 1 }
      })
      await load.done
      return ledger.map(({ kind, eventId }) => `${kind} ${eventId}`)
    }
    const first = await run(1)
    expect(await run(1)).toEqual(first)
    expect(await run(2)).not.toEqual(first)
    const repeats = first.filter((line) => line.startsWith('repeat')).length
    expect(repeats).toBeGreaterThan(8)
    expect(repeats).toBeLessThan(40)
    expect(first.filter((line) => line.startsWith('bad')).length).toBeGreaterThan(2)
    expect(first.filter((line) => line.startsWith('event')).length).toBe(200)
  })

  it('sends the events of a batch again that have no final answer, those alone, and writes each of them down', async () => {
    const bodies: string[] = []
    const answers: Partial<Answer>[] = [
      { status: 503, code: 'unavailable' },
      {
        status: 207,
        retryAfterMs: 1_000,
        items: [
          { status: 'accepted', code: '' },
          { status: 'rejected', code: 'invalid_field' },
          { status: 'retry', code: 'in_progress' },
          { status: 'duplicate', code: '' },
          { status: 'retry', code: 'rate_limited' }
        ]
      },
      { end: 'cut', status: 0, code: 'ECONNRESET' },
      {
        status: 202,
        items: [
          { status: 'accepted', code: '' },
          { status: 'duplicate', code: '' }
        ]
      }
    ]
    const { load, clock, ledger } = world(() => answered(202), {
      events: 5,
      pace: { kind: 'closed', senders: 1 },
      batches: { share: 1, events: 5 },
      sender: {
        async post(body, to) {
          bodies.push(`${to} ${String(body)}`)
          return { ...answered(202), ...answers[bodies.length - 1] }
        }
      }
    })
    await clock.advance(20_000)
    await load.done
    expect(bodies.map((body) => body.match(/1-000000\d/g)?.map((id) => Number(id.at(-1))))).toEqual([
      [0, 1, 2, 3, 4],
      [0, 1, 2, 3, 4],
      [2, 4],
      [2, 4]
    ])
    expect(bodies.every((body) => body.startsWith('batch {"events":['))).toBe(true)
    expect(ledger.slice(5, 10).map(({ status, code }) => [status, code])).toEqual([
      [202, 'accepted'],
      [422, 'invalid_field'],
      [503, 'in_progress'],
      [409, 'duplicate'],
      [429, 'rate_limited']
    ])
    expect(ledger.slice(10, 12).map(({ end, code }) => [end, code])).toEqual([
      ['cut', 'ECONNRESET'],
      ['cut', 'ECONNRESET']
    ])
    expect(load.counts()).toMatchObject({
      attempts: 14,
      accepted: 2,
      duplicates: 2,
      refused: 1,
      unknown: 2,
      withoutRetryAfter: 1
    })
  })

  it('holds an open rate whatever the answers are', async () => {
    const { load, clock, sentAt } = world(() => answered(202), {
      pace: { kind: 'open', eventsPerSecond: 100, maxInFlight: 50 }
    })
    await clock.advance(1_000)
    await Promise.all([load.stop(), clock.advance(100)])
    expect(sentAt.length).toBeGreaterThanOrEqual(100)
    expect(sentAt.length).toBeLessThanOrEqual(102)
  })

  it('ends when the ledger cannot be written', async () => {
    for (const pace of [
      { kind: 'closed', senders: 1 } as const,
      { kind: 'open', eventsPerSecond: 1_000, maxInFlight: 5 } as const
    ]) {
      const { load, clock } = world(() => answered(202), {
        pace,
        ledger: { append: () => Promise.reject(new Error('disk full')) }
      })
      const ended = expect(load.done).rejects.toThrow('disk full')
      await clock.advance(100)
      await ended
    }
  })
})

describe('isUnknown', () => {
  it.each([
    [{ end: 'cut', status: 0, code: '' }, true],
    [{ end: 'cut', status: 0, code: 'ECONNRESET' }, true],
    [{ end: 'cut', status: 0, code: 'ECONNREFUSED' }, false],
    [{ end: 'timeout', status: 0, code: '' }, true],
    [{ end: 'answered', status: 503, code: 'unknown' }, true],
    [{ end: 'answered', status: 500, code: 'internal' }, true],
    [{ end: 'answered', status: 503, code: 'unavailable' }, false],
    [{ end: 'answered', status: 503, code: 'in_progress' }, false],
    [{ end: 'answered', status: 429, code: 'rate_limited' }, false],
    [{ end: 'answered', status: 202, code: 'accepted' }, false]
  ] as const)('%o: %s', (attempt, unknown) => expect(isUnknown(attempt)).toBe(unknown))
})
