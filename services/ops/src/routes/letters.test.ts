import fastify from 'fastify'
import { expect, it } from 'vitest'
import { dlqTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { answerProblems } from '@millrace/service'
import { opsMetrics } from '../metrics.ts'
import { problemOf } from '../problem-of.ts'
import { addRoutes } from '../route.ts'
import { createLetterRoutes } from './letters.ts'
import type { LetterRouteDeps } from './letters.ts'

const authorization = 'Bearer mr_a_secret'

async function open(letters?: LetterRouteDeps['letters']) {
  const { admin, client } = createMemoryCluster({ clock: systemClock })
  await admin.createTopics([{ topic: dlqTopic('shop'), partitions: 1, replicationFactor: 1, config: {} }])
  const deps = { admin, client: client(), clock: systemClock, postgres: { query: async () => [] } }
  const app = fastify({ logger: false })
  answerProblems(app, createSilentLogger(), problemOf)
  // What reading letters asks for.
  const reading = async () => deps as unknown as Awaited<ReturnType<LetterRouteDeps['letters']>>
  addRoutes(app, createLetterRoutes({ letters: letters ?? reading }), {
    adminToken: 'mr_a_secret',
    metrics: bindMetrics(opsMetrics, createRegistry())
  })
  const get = (url: string) => app.inject({ url, headers: { authorization } })
  const post = (url: string, payload: object) =>
    app.inject({ method: 'POST', url, payload, headers: { authorization } })
  return { get, post, reading }
}

it('reads the letters of one request at a time, and tells the others when to come back', async () => {
  const gate = Promise.withResolvers<void>()
  const { reading } = await open()
  const { get, post } = await open(async () => {
    await gate.promise
    return await reading()
  })
  const first = get('/v1/projects/shop/letters')
  // Sent: `inject` begins with the first look at what it gives.
  const answered = first.then(({ statusCode, body }) => [statusCode, body])
  const others = await Promise.all([
    get('/v1/projects/shop/letters/causes'),
    get('/v1/letters/load:events.shop:0:1'),
    post('/v1/projects/shop/letters/drop', {}),
    post('/v1/projects/shop/letters/redrive', { dryRun: true })
  ])
  for (const { statusCode, headers, body } of others) {
    expect([statusCode, headers['retry-after']]).toEqual([503, '2'])
    expect(JSON.parse(body)).toMatchObject({ detail: 'another request is reading dead letters; come back after it' })
  }
  gate.resolve()
  expect((await answered)[0]).toBe(200)
  expect((await get('/v1/projects/shop/letters/causes')).statusCode).toBe(200)
  // Also after a failure.
  expect((await get('/v1/projects/none/letters')).statusCode).toBe(404)
  expect((await get('/v1/projects/shop/letters')).statusCode).toBe(200)
})

it('refuses a redrive that its rate makes longer than a request lasts', async () => {
  const { post } = await open()
  const refused = await post('/v1/projects/shop/letters/redrive', { limit: 10_000, perSecond: 10 })
  expect([refused.statusCode, JSON.parse(refused.body)]).toMatchObject([
    422,
    { detail: '10000 letters at 10 a second take longer than 240 s; ask for fewer, and repeat it' }
  ])
  expect((await post('/v1/projects/shop/letters/redrive', { limit: 50_001 })).statusCode).toBe(422)
  expect((await post('/v1/projects/shop/letters/redrive', { perSecond: 10_001 })).statusCode).toBe(422)
})
