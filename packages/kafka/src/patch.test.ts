// The hunks of patches/kafkajs@2.2.4.patch, each by what it does: an unpatched install must not pass.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test, vi } from 'vitest'

const require = createRequire(import.meta.url)

test('an idle connection schedules no timer', () => {
  const RequestQueue = require('kafkajs/src/network/requestQueue/index.js') as new (options: object) => {
    scheduleCheckPendingRequests(): void
    throttledUntil: number
    throttleCheckTimeoutId: unknown
    destroy(): void
  }
  const logger = { debug: () => undefined }
  const queue = new RequestQueue({ maxInFlightRequests: 5, requestTimeout: 1_000, clientId: 'c', broker: 'b', logger })
  vi.useFakeTimers()
  try {
    queue.scheduleCheckPendingRequests()
    expect(queue.throttleCheckTimeoutId).toBeNull()
    queue.throttledUntil = Date.now() + 50
    queue.scheduleCheckPendingRequests()
    expect(queue.throttleCheckTimeoutId).not.toBeNull()
    queue.destroy()
  } finally {
    vi.useRealTimers()
  }
})

test('a produce error carries what the reply says about every partition', async () => {
  const { parse } = require('kafkajs/src/protocol/requests/produce/v7/response.js') as {
    parse: (data: object) => Promise<unknown>
  }
  const topics = [
    {
      topicName: 't',
      partitions: [
        { partition: 0, errorCode: 0 },
        { partition: 1, errorCode: 10 }
      ]
    }
  ]
  await expect(parse({ topics })).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE', reply: topics })
})

test('a join waits for the assigner and tells its generation', () => {
  const source = readFileSync(require.resolve('kafkajs/src/consumer/consumerGroup.js'), 'utf8')
  expect(source).toContain('if (assigner.beforeJoin) await assigner.beforeJoin()')
  expect(source).toContain('generationId: this.generationId,\n          leaderId')
})
