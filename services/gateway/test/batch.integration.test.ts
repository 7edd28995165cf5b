// Batches on the real stack, and clients that mean harm or are slow.
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { openGateway } from './open-gateway.ts'
import type { TestGateway } from './open-gateway.ts'

const stack = new AsyncDisposableStack()
const project = uniqueProject('batch')
let admin: Admin
let gateway: TestGateway

beforeAll(async () => {
  const kafka = stack.use(await openTestKafka())
  admin = await kafka.admin()
  stack.defer(() => admin.deleteTopics([rawTopic(project)]))
  await admin.createTopics([{ topic: rawTopic(project), partitions: 4, replicationFactor: 1, config: {} }])
  gateway = stack.use(await openGateway({ project, endpoints: testEndpoints() }))
})
afterAll(() => stack.disposeAsync())

interface Item {
  readonly eventId?: string
  readonly status: string
  readonly code?: string
}

const eventOf = (eventId: string) => ({ eventId, eventType: 'page_view' })
const ids = (count: number): string[] => Array.from({ length: count }, () => unique('b'))

async function post(body: string | Buffer, headers: Record<string, string> = {}) {
  const response = await fetch(`${gateway.url}/v1/events/batch`, {
    method: 'POST',
    headers: { authorization: 'Bearer key', 'content-type': 'application/json', ...headers },
    body: new Uint8Array(Buffer.from(body))
  })
  const { items = [], code } = (await response.json()) as { items?: Item[]; code?: string }
  return { status: response.status, retryAfter: response.headers.get('retry-after'), items, code }
}

/** Records in the log of the project. */
async function stored(): Promise<bigint> {
  return (await admin.ranges(rawTopic(project))).reduce((sum, { end, start }) => sum + end - start, 0n)
}

describe('a batch on the real stack', () => {
  it('of 90 new, 3 bad, 5 stored and 2 equal events answers 207 item by item, and 91 of them land', async () => {
    const old = ids(5)
    expect((await post(JSON.stringify({ events: old.map(eventOf) }))).status).toBe(202)
    const before = await stored()
    const fresh = ids(90)
    const [same = ''] = ids(1)
    const bad = [{ eventId: 'no-type' }, 7, { ...eventOf('bad-field'), colour: 'red' }]
    const events = [
      ...fresh.slice(0, 40).map(eventOf),
      eventOf(same),
      ...bad,
      ...old.map(eventOf),
      eventOf(same),
      ...fresh.slice(40).map(eventOf)
    ]
    expect(events).toHaveLength(100)
    const { status, retryAfter, items } = await post(JSON.stringify({ events }))
    const accepted = (eventId: string) => ({ eventId, status: 'accepted' })
    const duplicate = (eventId: string) => ({ eventId, status: 'duplicate' })
    expect([status, retryAfter]).toEqual([207, null])
    expect(items).toEqual([
      ...fresh.slice(0, 40).map(accepted),
      accepted(same),
      expect.objectContaining({ eventId: 'no-type', status: 'rejected', code: 'missing_field', pointer: '/eventType' }),
      expect.objectContaining({ status: 'rejected', code: 'not_an_object', pointer: '' }),
      expect.objectContaining({ eventId: 'bad-field', status: 'rejected', code: 'unknown_field', pointer: '/colour' }),
      ...old.map(duplicate),
      duplicate(same),
      ...fresh.slice(40).map(accepted)
    ])
    expect(await stored()).toBe(before + 91n)
  })

  it('of 1,000 lines lands once, and its repeat lands not at all', async () => {
    const before = await stored()
    const lines = ids(1_000)
      .map((eventId) => JSON.stringify(eventOf(eventId)))
      .join('\n')
    const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'zstd' }
    const first = await post(zstdCompressSync(lines), headers)
    expect([first.status, first.items.length]).toEqual([202, 1_000])
    expect(await stored()).toBe(before + 1_000n)
    const again = await post(zstdCompressSync(lines), headers)
    expect([again.status, new Set(again.items.map(({ status }) => status))]).toEqual([202, new Set(['duplicate'])])
    expect(await stored()).toBe(before + 1_000n)
  })

  it('stores each id once when batches with the same ids come together', async () => {
    const before = await stored()
    const body = JSON.stringify({ events: ids(50).map(eventOf) })
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(body)))
    const counts: Record<string, number> = {}
    for (const { status, code } of answers.flatMap(({ items }) => items)) {
      counts[code ?? status] = (counts[code ?? status] ?? 0) + 1
    }
    const { accepted, duplicate = 0, in_progress: busy = 0, ...others } = counts
    expect([accepted, duplicate + busy, others]).toEqual([50, 350, {}])
    expect(await stored()).toBe(before + 50n)
  })
})

describe('rough clients', () => {
  it('send bombs that are refused without taking memory', async () => {
    const bomb = gzipSync(Buffer.concat([Buffer.from('{"events":['), Buffer.alloc(100_000_000, 32), Buffer.from(']}')]))
    await post(bomb, { 'content-encoding': 'gzip' })
    const beforeBytes = process.memoryUsage().rss
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => post(bomb, { 'content-encoding': 'gzip' })))
      expect(new Set(answers.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(['413 body_too_large']))
    }
    // A hundred bombs would be 10 GB.
    expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(100 * 1024 ** 2)
  })

  it.each([
    ['too many bytes of headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(4_000)}\r\n`, 431],
    ['one endless header', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['two lengths', 'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    [
      'a length and chunks',
      'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400
    ]
  ])('that send %s get an answer and no more', async (_name, bytes, status) => {
    expect(await exchange(bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it('that send without an end are told so, heard for a while, and cut', async () => {
    const { hostname, port } = new URL(gateway.url)
    const socket = connect(Number(port), hostname)
    const reply = text(socket).catch(() => 'reset')
    socket.write('POST /v1/events/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n')
    socket.write('Transfer-Encoding: chunked\r\n\r\n')
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000, 32), Buffer.from('\r\n')])
    let sentBytes = 0
    let first = ''
    socket.once('data', (data: Buffer) => (first = data.toString()))
    socket.on('error', () => {})
    while (!socket.destroyed && sentBytes < 256 * 1024 ** 2) {
      sentBytes += chunk.length
      await new Promise((resolve) => socket.write(chunk, resolve))
    }
    await reply
    expect(first).toMatch(/^HTTP\/1.1 413 /)
    expect(sentBytes).toBeGreaterThan(32 * 1024 ** 2)
    expect(sentBytes).toBeLessThan(64 * 1024 ** 2)
  })

  it('that end in the middle of a body leave nothing behind', async () => {
    const head = 'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nContent-Length: 100\r\n\r\n{"eve'
    await exchange(head, { end: true })
    await expect
      .poll(() => gateway.series())
      .toContain('analytics_api_requests_total{endpoint="events",status="499"} 1')
  })

  it(
    'that send a header a minute are cut, a body a while later, and others are served',
    { timeout: 40_000 },
    async () => {
      const ends: string[] = []
      const cut = async (name: string, bytes: string): Promise<void> => {
        expect(await exchange(bytes)).toMatch(/^HTTP\/1.1 408 /)
        ends.push(name)
      }
      const slow = Promise.all([
        cut('body', 'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nContent-Length: 9\r\n\r\n{'),
        cut('headers', 'POST /v1/events HTTP/1.1\r\nHost: x\r\n')
      ])
      expect((await gateway.send(JSON.stringify(eventOf(unique('fast'))))).status).toBe(202)
      await slow
      expect(ends).toEqual(['headers', 'body'])
    }
  )
})

/** Sends `bytes` and gives everything that comes until the connection ends. */
async function exchange(bytes: string, { end = false } = {}): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname)
  socket.write(bytes)
  if (end) socket.end()
  return await text(socket)
}
