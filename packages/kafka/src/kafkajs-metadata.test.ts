// The library's own broker pool and cluster, with the methods replaced that would ask a broker.
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { installMetadataBehind } from './kafkajs-metadata.ts'

const require = createRequire(import.meta.url)
type Method = (argument: readonly string[]) => Promise<void>

/** An object of a class of the library with these fields; `call` calls one of its methods. */
function make(file: string, fields: object) {
  installMetadataBehind()
  const { prototype } = require(`kafkajs/src/cluster/${file}`) as { prototype: Record<string, Method> }
  const made = Object.assign(Object.create(prototype) as typeof prototype, fields)
  return (name: string, topics: readonly string[]): Promise<void> | undefined => made[name]?.(topics)
}

function pool(expiresInMs: number | null) {
  const asked: PromiseWithResolvers<void>[] = []
  const call = make('brokerPool.js', {
    metadata: { topicMetadata: [{ topic: 'known' }] },
    metadataExpireAt: expiresInMs === null ? null : Date.now() + expiresInMs,
    refreshMetadata: () => {
      const answer = Promise.withResolvers<void>()
      asked.push(answer)
      return answer.promise
    }
  })
  const refresh = (...topics: string[]) => call('refreshMetadataIfNecessary', topics)
  return { asked, refresh }
}

test('old metadata is used at once and renewed behind, one renewal at a time', async () => {
  const { asked, refresh } = pool(-1)
  await refresh('known')
  await refresh('known')
  expect(asked).toHaveLength(1)
  asked[0]?.reject(new Error('frozen'))
  await new Promise((resolve) => setImmediate(resolve))
  await refresh('known')
  expect(asked).toHaveLength(2)
})

test('fresh metadata is not asked for', async () => {
  const { asked, refresh } = pool(1_000)
  await refresh('known')
  expect(asked).toHaveLength(0)
})

test.each([
  ['an unknown topic', 1_000, 'unknown'],
  ['a lost broker', null, 'known']
])('%s is waited for', async (_what, expiresInMs, topic) => {
  const { asked, refresh } = pool(expiresInMs)
  let waited = true
  const done = refresh(topic)?.then(() => (waited = false))
  await new Promise((resolve) => setImmediate(resolve))
  expect([asked.length, waited]).toEqual([1, true])
  asked[0]?.resolve()
  await done
})

test('a topic that is known waits for no lock', async () => {
  const lock = { acquire: () => new Promise(() => undefined), release: async () => undefined }
  const call = make('index.js', {
    targetTopics: new Set(['known']),
    brokerPool: { metadata: {} },
    mutatingTargetTopics: lock
  })
  await call('addMultipleTargetTopics', ['known'])
  const other = await Promise.race([
    call('addMultipleTargetTopics', ['unknown'])?.then(() => 'went on'),
    new Promise((resolve) => setImmediate(() => resolve('waits')))
  ])
  expect(other).toBe('waits')
})
