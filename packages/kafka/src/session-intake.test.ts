// What becomes of a fetched batch when the world moves on before it is handed over.
import type { EachBatchPayload } from 'kafkajs'
import { systemClock } from '@millrace/kernel'
import { expect, test, vi } from 'vitest'
import { createGroupEpoch } from './group-epoch.ts'
import { createSerial } from './serial.ts'
import { moveTo } from './session-context.ts'
import type { SessionContext } from './session-context.ts'
import { createIntake } from './session-intake.ts'

const p0 = { topic: 't', partition: 0 }

const scene = () => {
  const epoch = createGroupEpoch({ memberId: 'm', generationId: 1, assignment: [p0] })
  epoch.move(p0, 10n)
  epoch.start()
  const seen: bigint[] = []
  const sought: string[] = []
  const context: SessionContext = {
    options: { groupId: 'g' } as SessionContext['options'],
    handlers: {
      onAssigned: () => new Map(),
      onRevoked: () => undefined,
      onBatch: ({ records }: { readonly records: readonly { readonly offset: bigint }[] }) => {
        seen.push(...records.map(({ offset }) => offset))
      }
    } as unknown as SessionContext['handlers'],
    calls: createSerial(),
    clock: systemClock,
    log: { debug: () => undefined, warn: () => undefined } as unknown as SessionContext['log'],
    fetcher: {
      pause: () => undefined,
      resume: () => undefined,
      seek: ({ offset }) => void sought.push(offset)
    },
    offsets: { read: async () => new Map() } as unknown as SessionContext['offsets'],
    state: { current: epoch, delivered: epoch, closed: false },
    fail: (error) => {
      throw error
    }
  }
  const { promise: never } = Promise.withResolvers<void>()
  const take = createIntake(context, never)
  const fetched = (first: number, count: number): EachBatchPayload =>
    ({
      batch: {
        ...p0,
        fetchedOffset: first,
        highWatermark: '100',
        lastOffset: () => String(first + count - 1),
        messages: Array.from({ length: count }, (_, i) => ({
          offset: String(first + i),
          key: null,
          value: null,
          timestamp: '0',
          headers: {}
        }))
      },
      resolveOffset: vi.fn<(offset: string) => void>(),
      isStale: () => false,
      isRunning: () => true
    }) as unknown as EachBatchPayload
  return { context, epoch, seen, sought, take, fetched }
}

test('hands a batch over that continues the epoch', async () => {
  const { take, fetched, seen } = scene()
  await take(fetched(10, 2))
  expect(seen).toEqual([10n, 11n])
})

test('does not hand over what was taken before the position moved', async () => {
  const { context, epoch, take, fetched, seen, sought } = scene()
  const handed = take(fetched(10, 2))
  moveTo(context, epoch, p0, 5n)
  await handed
  await take(fetched(5, 7))
  expect([seen, sought]).toEqual([[5n, 6n, 7n, 8n, 9n, 10n, 11n], ['5']])
})

test('does not hand it over, either, when the log was read up to the same place again meanwhile', async () => {
  const { context, epoch, take, fetched, seen } = scene()
  const first = take(fetched(10, 2))
  moveTo(context, epoch, p0, 10n)
  const second = take(fetched(10, 2))
  await Promise.all([first, second])
  expect(seen).toEqual([10n, 11n])
})
