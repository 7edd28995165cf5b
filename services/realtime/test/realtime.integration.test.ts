// The live feed as a process on the real stack: tickets, what comes of Kafka and Redis, what a hostile client gets, and the stop.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  encodeMetric,
  encodeSession,
  metricsTopic,
  parseApiKey,
  processedTopic,
  sessionsTopic,
  topicSettings
} from '@millrace/contracts'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import type { Kafka, Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { revokeKey } from '@millrace/operations/keys'
import { setProject } from '@millrace/operations/project-settings'
import { createProject } from '@millrace/operations/projects'
import type { ProjectAdmin } from '@millrace/operations/projects'
import { ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { openPostgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { fastestOf } from '@millrace/testkit/fastest-of'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { askTicket, connectLive, ticketFor } from './live-client.ts'
import type { LiveMessage } from './live-client.ts'
import { WebSocket } from 'ws'

const stack = new AsyncDisposableStack()
const endpoints = testEndpoints()
const pepper = randomBytes(32).toString('base64url')
let kafka: Kafka
let producer: Producer
let service: RunningService
let projectAdmin: ProjectAdmin
let shop: { readonly projectId: string; readonly writeKey: string; readonly secretKey: string }

beforeAll(async () => {
  const log = createSilentLogger()
  kafka = stack.use(await openTestKafka())
  producer = await kafka.producer({ compression: 'none' })
  const admin = await kafka.admin()
  const declaration = await loadTopicDeclaration()
  const postgres = stack.use(
    await openPostgres({ url: endpoints.DATABASE_URL, poolSize: 2, log, name: 'realtime-test' })
  )
  const ensure = (id: string) => ensureTopics({ admin, declaration, profile: 'local', projects: [id] })
  projectAdmin = { postgres, pepper, actor: 'test', ensureTopics: ensure }
  shop = await createProject(projectAdmin, { projectId: uniqueProject('live') })
  await setProject({ postgres, actor: 'test' }, shop.projectId, [['corsOrigins', 'https://shop.example']])
  const metrics = { topic: metricsTopic('events'), ...topicSettings(declaration, 'local', 'metrics') }
  await admin.createTopics([metrics])
  const folder = await mkdtemp(join(tmpdir(), 'millrace-realtime-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const services = stack.use(
    await startServices({
      endpoints: { ...endpoints },
      pepper,
      folder,
      ports: 'ephemeral',
      only: ['realtime'],
      env: {
        MILLRACE_TEST: '1',
        SESSION_TIMEOUT_MS: '6s',
        HEARTBEAT_INTERVAL_MS: '1s',
        TOPIC_REFRESH_MS: '500ms',
        MESSAGES_PER_10S: '30',
        SOCKET_SUBSCRIPTIONS: '5',
        MESSAGE_MAX_BYTES: '1KiB',
        CONNECTION_MAX_AGE_MS: '1h',
        KEY_FRESH_MS: '3s'
      }
    })
  )
  service = services.service('realtime')
})
afterAll(() => stack.disposeAsync())

const minute = (): number => Date.now() - (Date.now() % 60_000)
const metric = (value: number, more: Partial<MetricMessage> = {}): MetricMessage => ({
  project: shop.projectId,
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: minute(),
  value,
  count: value,
  capped: false,
  revision: [1, 2 * value],
  final: false,
  ...more
})
const produce = async (topic: string, key: string, value: Buffer): Promise<void> => {
  const [outcome] = await producer.produce(topic, [{ partition: 0, key, value }])
  if (outcome?.kind !== 'acked') throw new Error(`not produced: ${outcome?.kind}`)
}
const tell = async (message: MetricMessage): Promise<void> => {
  const { key, value } = encodeMetric(message)
  await produce(metricsTopic('events'), key, value)
}
const values = (message: LiveMessage): unknown => message.data?.map(({ value }) => value)

describe('tickets', () => {
  it('are for secret keys, never for write keys, strangers and pages', async () => {
    expect((await askTicket(service.url, shop.writeKey)).status).toBe(403)
    expect((await askTicket(service.url, 'mr_s_nothing')).status).toBe(401)
    expect((await askTicket(service.url, shop.secretKey, undefined, { origin: 'https://shop.example' })).status).toBe(
      403
    )
    expect((await askTicket(service.url, shop.secretKey, { allow: ['all'] })).status).toBe(422)
    expect((await askTicket(service.url, shop.secretKey, { allow: ['metrics'] })).status).toBe(201)
  })

  it('open one connection, from pages that the project names and from what is no page', async () => {
    const ticket = await ticketFor(service.url, shop.secretKey)
    using client = await connectLive(service.url, ticket)
    await client.next('the welcome', ({ type, project }) => type === 'welcome' && project === shop.projectId)
    await expect(connectLive(service.url, ticket)).rejects.toThrow('401')
    const foreign = await ticketFor(service.url, shop.secretKey)
    await expect(connectLive(service.url, foreign, 'https://other.example')).rejects.toThrow('403')
    const own = await ticketFor(service.url, shop.secretKey)
    using page = await connectLive(service.url, own, 'https://shop.example')
    await page.next('the welcome', ({ type }) => type === 'welcome')
  })

  it('allow what they were made for', async () => {
    using client = await connectLive(service.url, await ticketFor(service.url, shop.secretKey, { allow: ['metrics'] }))
    client.send({ type: 'subscribe', id: 's', to: 'sessions' })
    const { problem } = await client.next('the refusal', ({ type }) => type === 'error')
    expect(problem).toMatchObject({ code: 'forbidden', pointer: '/to' })
  })
})

describe('subscriptions', () => {
  it('show a value within a second of its record, and only newer ones after it', async () => {
    using client = await connectLive(service.url, await ticketFor(service.url, shop.secretKey))
    client.send({ type: 'subscribe', id: 'm', to: 'metrics', metric: 'events' })
    const { channel } = await client.next('the answer', ({ type }) => type === 'subscribed')
    await client.next('the snapshot', (message) => message.type === 'snapshot' && message.channel === channel)
    const delta = (value: number) => (message: LiveMessage) =>
      message.type === 'delta' && message.channel === channel && (values(message) as number[]).includes(value)
    // The reader joins its group in the background; what is produced before is in no snapshot here.
    let sent = 0
    await eventually('the first value', async () => {
      await tell(metric(++sent))
      return client.messages.some((message) => message.type === 'delta')
    })
    const tookMs = await fastestOf(5, 1_000, async (index) => {
      const startedAtMs = performance.now()
      await tell(metric(995 + index))
      await client.next('the next value', delta(995 + index))
      return performance.now() - startedAtMs
    })
    expect(tookMs).toBeLessThan(1_000)
    await tell(metric(1_000))
    await tell(metric(7, { revision: [1, 14] }))
    await tell(metric(8, { project: 'somebody-else', revision: [9, 16] }))
    await tell(metric(1_001, { dimension: '["purchase"]', revision: [1, 2_002] }))
    await tell(metric(1_002, { revision: [1, 2_005], final: true }))
    await client.next('the last value', delta(1_002))
    const shown = client.messages.filter(({ type }) => type === 'delta').flatMap(({ data = [] }) => data)
    expect(shown.map(({ value }) => value)).not.toEqual(expect.arrayContaining([8]))
    expect(shown.filter(({ dimension }) => dimension !== undefined)).toEqual([])
    expect(shown.at(-1)).toMatchObject({ value: 1_002, final: true, revision: [1, 2_005] })
    expect(shown.map(({ value }) => value as number)).toEqual(
      shown.map(({ value }) => value as number).toSorted((a, b) => a - b)
    )
  })

  it('show sessions and events without what tells a person', async () => {
    using client = await connectLive(service.url, await ticketFor(service.url, shop.secretKey))
    client.send({ type: 'subscribe', id: 's', to: 'sessions' })
    client.send({ type: 'subscribe', id: 'e', to: 'events', eventTypes: ['purchase'] })
    const session: SessionMessage = {
      project: shop.projectId,
      sessionId: 'visit-1',
      startedAt: 1,
      firstEventAt: 1,
      lastEventAt: 2,
      totalEvents: 3,
      pageViews: 2,
      hasConversion: false,
      isNew: null,
      userId: 'ada',
      trafficSource: 'direct',
      deviceType: 'desktop',
      country: '',
      entryPage: '/',
      exitPage: '/',
      revision: [1, 7],
      final: true
    }
    const admin = await kafka.admin()
    const declaration = await loadTopicDeclaration()
    const topic = sessionsTopic(shop.projectId)
    await admin.createTopics([{ topic, ...topicSettings(declaration, 'local', 'sessions') }])
    await produce(topic, 'visit-1', encodeSession(session).value)
    const shown = await client.next(
      'the session',
      ({ data }) => data?.some(({ entryPage }) => entryPage === '/') === true
    )
    expect(JSON.stringify(shown)).not.toMatch(/ada|visit-1/)

    const event = (id: string, eventType: string): Buffer => {
      const texts = 'path trafficSource deviceType os browser country anonymousId sessionId url referrer title'.split(
        ' '
      )
      const row = Object.fromEntries(texts.map((name) => [name, '']))
      const time = new Date().toISOString()
      const person = { userId: 'ada', properties: '{"card":"4111"}', isBot: false }
      return Buffer.from(
        JSON.stringify({ ...row, eventId: id, eventType, timestamp: time, receivedAt: time, ...person })
      )
    }
    let sent = 0
    const seen = await eventually('an event', async () => {
      await produce(processedTopic(shop.projectId), 'k', event(`view-${sent}`, 'page_view'))
      await produce(processedTopic(shop.projectId), 'k', event(`buy-${sent++}`, 'purchase'))
      return client.messages.find(({ type, data }) => type === 'delta' && data?.[0]?.['eventType'] === 'purchase')
    })
    expect(JSON.stringify(seen)).not.toMatch(/ada|4111|page_view/)
  })
})

describe('a hostile client', () => {
  it('gets problems and close codes, and harms nobody', async () => {
    const open = async () => await connectLive(service.url, await ticketFor(service.url, shop.secretKey))
    using witness = await open()
    using wrong = await open()
    for (const text of ['', '{', '[]', '{"type":"subscribe"}', '{"type":"subscribe","id":"x","to":"?"}'])
      wrong.send(text)
    wrong.send({ type: 'unsubscribe', id: 'nothing' })
    const errors = await eventually('six refusals', () => {
      const found = wrong.messages.filter(({ type }) => type === 'error')
      return found.length === 6 && found
    })
    expect(errors.map(({ problem }) => problem?.code)).toEqual([
      'invalid_json',
      'invalid_json',
      'invalid_request',
      'missing_field',
      'invalid_field',
      'not_found'
    ])
    for (let index = 0; index < 7; index++)
      wrong.send({ type: 'subscribe', id: `s${index}`, to: 'metrics', metric: 'events', windows: index + 1 })
    await eventually(
      'the bound of subscriptions',
      () => wrong.messages.filter(({ problem }) => problem?.code === 'rate_limited').length === 2
    )

    using binary = await open()
    binary.socket.send(Buffer.from([1, 2, 3]))
    expect((await binary.closed).code).toBe(1003)
    using huge = await open()
    huge.send('x'.repeat(2_000))
    expect((await huge.closed).code).toBe(1009)
    using loud = await open()
    for (let index = 0; index < 40; index++) loud.send({ type: 'ping' })
    expect((await loud.closed).code).toBe(1008)
    using broken = await open()
    // Reserved bits without an extension: RFC 6455 5.2 has the connection failed.
    Reflect.get(broken.socket, '_socket').write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]))
    expect((await broken.closed).code).toBe(1002)

    witness.send({ type: 'ping' })
    await witness.next('the pong', ({ type }) => type === 'pong')
    expect(service.starts).toBe(1)
  })

  it('is answered in HTTP when it does not speak the handshake', async () => {
    expect((await fetch(`${service.url}/realtime`)).status).toBe(426)
    expect(
      (
        await fetch(`${service.url}/v1/tickets`, {
          method: 'POST',
          body: '{',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${shop.secretKey}` }
        })
      ).status
    ).toBe(400)
    const raw = (text: string) =>
      new Promise<string>((resolve) => {
        let answer = ''
        const socket = connect(service.port, '127.0.0.1', () => socket.write(text))
        socket
          .on('data', (data) => (answer += data.toString()))
          .on('close', () => resolve(answer))
          .on('error', () => undefined)
      })
    const upgrade = (path: string) =>
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
    expect(await raw(upgrade('/else'))).toMatch(/^HTTP\/1\.1 404 /)
    expect(await raw(upgrade('//'))).toMatch(/^HTTP\/1\.1 404 /)
    expect(await raw(upgrade('/realtime'))).toMatch(/^HTTP\/1\.1 401 /)
    expect(await raw('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 200 /
    )
    const ticket = await ticketFor(service.url, shop.secretKey)
    expect(await raw(upgrade(`/realtime?ticket=${ticket}`))).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('a revoked key', () => {
  it('ends the connections of its tickets, and no others', async () => {
    const gone = await createProject(projectAdmin, { projectId: uniqueProject('live') })
    using stays = await connectLive(service.url, await ticketFor(service.url, shop.secretKey))
    using ends = await connectLive(service.url, await ticketFor(service.url, gone.secretKey))
    await ends.next('a word of welcome', ({ type }) => type === 'welcome')
    await revokeKey(projectAdmin, parseApiKey(gone.secretKey)?.id ?? '')
    expect(await ends.closed).toEqual({ code: 1008, reason: 'the key has ended' })
    expect(stays.socket.readyState).toBe(WebSocket.OPEN)
  })
})

describe('the stop', () => {
  it('tells clients when to come back', async () => {
    using client = await connectLive(service.url, await ticketFor(service.url, shop.secretKey))
    await service.restart()
    const { code, reason } = await client.closed
    expect(code).toBe(1012)
    expect((JSON.parse(reason) as { reconnectAfterMs: number }).reconnectAfterMs).toBeLessThanOrEqual(10_000)
  })
})
