// Redriving on a cluster in memory, with a group that is played by the test.
import { expect, it } from 'vitest'
import { parseLetter } from '@millrace/consumer'
import { createEnrich, dlqTopic, rawTopic, redriveTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import { AppError, systemClock } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { dropLetters } from './drop-letters.ts'
import { groupLetters } from './letter-groups.ts'
import { readLetters } from './letters.ts'
import { previewRedrive, redriveLetters } from './redrive-letters.ts'
import type { RedriveDeps, RedriveRequest } from './redrive-letters.ts'
import { showLetter } from './show-letter.ts'

const request: RedriveRequest = {
  projectId: 'shop',
  where: [],
  limit: 100,
  perSecond: 100_000,
  onFailure: 'reinsert',
  waitMs: 0
}

async function open() {
  const clock = systemClock
  const cluster = createMemoryCluster({ clock })
  const plain = { replicationFactor: 1, config: {} }
  await cluster.admin.createTopics([
    { topic: dlqTopic('shop'), partitions: 2, ...plain },
    ...['load', 'record', 'process'].map((group) => ({ topic: redriveTopic(group), partitions: 1, ...plain }))
  ])
  const database = openDecisions()
  const deps: RedriveDeps = {
    admin: cluster.admin,
    client: cluster.client(),
    clock,
    producer: cluster.producer,
    postgres: database.postgres,
    lock: (_projectId, work) => work(() => undefined),
    enrich: createEnrich(),
    actor: 'test:me',
    countingGroups: ['aggregate'],
    loadingGroups: ['load'],
    recordingGroups: ['record']
  }
  /** Writes the letter of `events.shop:partition:offset`, as the group does. */
  const fail = async (
    offset: number,
    options: { group?: string; partition?: number; message?: string; isEvent?: boolean } = {}
  ) => {
    const { group = 'load', partition = 0, message = `row ${offset} is out of range`, isEvent = true } = options
    const topic = rawTopic('shop')
    const headers = {
      trace: 'x',
      'dlq.id': `${group}:${topic}:${partition}:${offset}`,
      'dlq.topic': topic,
      'dlq.partition': String(partition),
      'dlq.offset': String(offset),
      'dlq.append-time': '1767225600000',
      'dlq.group': group,
      'dlq.stage': isEvent ? 'handle' : 'decode',
      'dlq.error-class': 'constraint',
      'dlq.error-code': isEvent ? 'PIPE_CLICKHOUSE_REFUSED' : 'PIPE_NOT_AN_EVENT',
      'dlq.error-message': message,
      'dlq.attempts': '4',
      'dlq.first-failure': '1',
      'dlq.last-failure': '2',
      'dlq.app-version': '1'
    }
    const record = { partition, key: `k${offset}`, value: Buffer.from(`{"n":${offset}}`), headers }
    await cluster.producer.produce(dlqTopic('shop'), [record])
  }
  const sent = (group = 'load') => cluster.records(redriveTopic(group))
  /** The group handles everything that is in its redrive topic. */
  const pass = (group = 'load') =>
    cluster.admin.setGroupOffsets(group, redriveTopic(group), new Map([[0, BigInt(sent(group).length)]]))
  const states = async () => Object.fromEntries((await readLetters(deps, request)).map(({ id, state }) => [id, state]))
  return { cluster, deps, database, fail, sent, pass, states }
}

/** The table of decisions and the audit log, in memory. */
function openDecisions() {
  const decisions = new Map<string, Record<string, unknown>>()
  const audit: unknown[] = []
  const queued: unknown[] = []
  const query = async (sql: string, values: readonly unknown[] = []): Promise<readonly object[]> => {
    if (sql.startsWith('SELECT letter_id')) return [...decisions.values()]
    if (sql.startsWith('INSERT INTO letter_decisions')) {
      for (const row of JSON.parse(String(values[2])) as Record<string, unknown>[])
        decisions.set(String(row['letter_id']), { ...row, kind: values[1] })
    }
    if (sql.startsWith('INSERT INTO audit_log')) audit.push([values[1], JSON.parse(String(values[4]))])
    if (sql.startsWith('INSERT INTO recount_days')) queued.push([values[0], values[1], values[2]])
    return []
  }
  const transaction = async (work: (tx: { query: typeof query }) => unknown) => await work({ query })
  // What the procedures ask of a database.
  const postgres = { query, transaction } as unknown as Postgres
  return { postgres, audit, queued }
}

it('sends the letter as it is, with its headers and the place it was taken from, and sees it land', async () => {
  const { deps, fail, sent, pass, states, database } = await open()
  await fail(7)
  await fail(8)
  expect(await states()).toEqual({ 'load:events.shop:0:7': 'open', 'load:events.shop:0:8': 'open' })
  const report = await redriveLetters(deps, request)
  expect(report).toMatchObject({ matched: 2, stopped: false, outcomes: { waiting: 2, landed: 0 } })
  const [record] = sent()
  expect([record?.key?.toString(), record?.value?.toString()]).toEqual(['k7', '{"n":7}'])
  expect(record?.headers['dlq.redriven-from']?.toString()).toBe('0:0')
  expect(record === undefined ? undefined : parseLetter(record)).toMatchObject({
    id: 'load:events.shop:0:7',
    attempts: 4,
    headers: { trace: Buffer.from('x') }
  })
  expect(new Set(Object.values(await states()))).toEqual(new Set(['redriven']))
  await pass()
  expect(new Set(Object.values(await states()))).toEqual(new Set(['closed']))
  expect(database.audit).toMatchObject([
    ['letters.redrive', { matched: 2, letters: 2 }],
    ['letters.redriven', { outcomes: { waiting: 2 } }]
  ])
})

it('sends a letter once although it is asked for again and again, on the way and after', async () => {
  const { deps, fail, sent, pass } = await open()
  await fail(1)
  for (let time = 0; time < 3; time++) await redriveLetters(deps, request)
  await pass()
  expect((await redriveLetters(deps, request)).matched).toBe(0)
  expect(sent()).toHaveLength(1)
})

it('sends what is missing when it is repeated after it was killed half-way', async () => {
  const { deps, fail, sent } = await open()
  for (let offset = 0; offset < 20; offset++) await fail(offset, { partition: offset % 2 })
  let calls = 0
  const killed: RedriveDeps = {
    ...deps,
    producer: {
      ...deps.producer,
      produce: async (topic, records) => {
        if (++calls > 3) throw new Error('killed')
        return await deps.producer.produce(topic, records)
      }
    }
  }
  await expect(redriveLetters(killed, { ...request, perSecond: 20 })).rejects.toThrow('killed')
  const before = sent().length
  expect(before).toBeGreaterThan(0)
  expect(before).toBeLessThan(20)
  await redriveLetters(deps, request)
  const ids = sent().map(({ headers }) => headers['dlq.id']?.toString())
  expect([ids.length, new Set(ids).size]).toEqual([20, 20])
})

it('has a letter open again that failed again after its redrive, and counts its copies', async () => {
  const { deps, fail, pass, states } = await open()
  await fail(5)
  await redriveLetters(deps, request)
  await fail(5, { message: 'still out of range' })
  await pass()
  expect(await states()).toEqual({ 'load:events.shop:0:5': 'open' })
  const [letter] = await readLetters(deps, request)
  expect(letter).toMatchObject({ copies: 2, at: { partition: 0, offset: 1n }, message: 'still out of range' })
})

it('stops after the first wave in which a letter fails', async () => {
  const { deps, fail, sent, pass } = await open()
  for (let offset = 0; offset < 40; offset++) await fail(offset)
  // The group fails the third of what it is sent, and passes the rest.
  const failing: RedriveDeps = {
    ...deps,
    producer: {
      ...deps.producer,
      produce: async (topic, records) => {
        const outcomes = await deps.producer.produce(topic, records)
        await fail(2, { message: 'again' })
        await pass()
        return outcomes
      }
    }
  }
  const report = await redriveLetters(failing, { ...request, onFailure: 'stop', waitMs: 1_000 })
  expect(report).toMatchObject({ matched: 40, stopped: true, outcomes: { landed: 9, failed: 1, waiting: 0 } })
  expect(sent()).toHaveLength(10)
  expect(report.results.find(({ outcome }) => outcome === 'failed')).toEqual({
    id: 'load:events.shop:0:2',
    outcome: 'failed',
    detail: 'again'
  })
})

it('gives up what fails again when it is told to', async () => {
  const { deps, fail, pass, states } = await open()
  await fail(1)
  const failing: RedriveDeps = {
    ...deps,
    producer: {
      ...deps.producer,
      produce: async (topic, records) => {
        const outcomes = await deps.producer.produce(topic, records)
        await fail(1)
        await pass()
        return outcomes
      }
    }
  }
  const report = await redriveLetters(failing, { ...request, onFailure: 'drop', waitMs: 1_000 })
  expect(report).toMatchObject({ dropped: 1, outcomes: { failed: 1 } })
  expect(await states()).toEqual({ 'load:events.shop:0:1': 'dropped' })
  await fail(1)
  expect(await states()).toEqual({ 'load:events.shop:0:1': 'open' })
})

it('counts the day of a letter again when its group keeps its own positions', async () => {
  const { deps, fail, database, states } = await open()
  await fail(3, { group: 'aggregate' })
  const report = await redriveLetters(deps, request)
  expect(report.results).toEqual([{ id: 'aggregate:events.shop:0:3', outcome: 'recounted' }])
  // The record is no event: the day of its append.
  expect(database.queued).toEqual([['shop', ['2026-01-01'], 'letter']])
  expect(await states()).toEqual({ 'aggregate:events.shop:0:3': 'closed' })
})

it('has the days of letters of the loaders counted again, asked for before they are sent and after', async () => {
  const { deps, fail, database } = await open()
  await fail(3)
  await redriveLetters({ ...deps, loadingGroups: [] }, { ...request, where: ['offset=0'] })
  expect(database.queued).toEqual([])
  const sent: number[] = []
  const produce: RedriveDeps['producer']['produce'] = async (topic, records) => {
    sent.push(database.queued.length)
    return await deps.producer.produce(topic, records)
  }
  await redriveLetters({ ...deps, producer: { ...deps.producer, produce } }, request)
  expect(sent).toEqual([1])
  expect(database.queued).toEqual([
    ['shop', ['2025-12-31', '2026-01-01'], 'letter'],
    ['shop', ['2025-12-31', '2026-01-01'], 'letter']
  ])
})

it('sends what was no event to all that skipped it, has its days counted, and closes it when all have it', async () => {
  const { deps, fail, sent, pass, states, database } = await open()
  await fail(3, { group: 'process', isEvent: false })
  await fail(4, { group: 'process' })
  const report = await redriveLetters(deps, request)
  expect(report.outcomes).toMatchObject({ waiting: 2 })
  const offsets = (group: string) => sent(group).map(({ headers }) => headers['dlq.offset']?.toString())
  expect([offsets('load'), offsets('record'), offsets('process')]).toEqual([['3'], ['3'], ['3', '4']])
  expect(database.queued).toHaveLength(2)
  await pass('process')
  await pass('load')
  expect(await states()).toEqual({ 'process:events.shop:0:3': 'redriven', 'process:events.shop:0:4': 'closed' })
  await pass('record')
  expect(await states()).toMatchObject({ 'process:events.shop:0:3': 'closed' })
})

it('leaves what was no event open until it was sent to all, and sends it to its own group once', async () => {
  const { deps, fail, sent, pass, states } = await open()
  await fail(3, { group: 'process', isEvent: false })
  const killed = async (at: string): Promise<void> => {
    const produce: RedriveDeps['producer']['produce'] = async (topic, records) => {
      if (topic === redriveTopic(at)) throw new Error('killed')
      return await deps.producer.produce(topic, records)
    }
    await expect(redriveLetters({ ...deps, producer: { ...deps.producer, produce } }, request)).rejects.toThrow(
      'killed'
    )
    await pass('load')
    expect(await states()).toEqual({ 'process:events.shop:0:3': 'open' })
  }
  await killed('record')
  await killed('process')
  const done = await redriveLetters(deps, request)
  for (const group of ['load', 'record', 'process']) await pass(group)
  expect([done.matched, sent('process').length, (await redriveLetters(deps, request)).matched]).toEqual([1, 1, 0])
  expect(new Set(sent().map(({ headers }) => headers['dlq.id']?.toString()))).toEqual(
    new Set(['process:events.shop:0:3'])
  )
})

it('says that a letter failed when another group cannot take what is an event now, and keeps that letter', async () => {
  const { deps, fail, pass, states } = await open()
  await fail(3, { group: 'process', isEvent: false })
  const produce: RedriveDeps['producer']['produce'] = async (topic, records) => {
    const outcomes = await deps.producer.produce(topic, records)
    if (topic === redriveTopic('load')) await fail(3, { message: 'no such column' })
    for (const group of ['load', 'record', 'process']) await pass(group)
    return outcomes
  }
  const report = await redriveLetters(
    { ...deps, producer: { ...deps.producer, produce } },
    { ...request, waitMs: 1_000 }
  )
  expect(report.results).toEqual([{ id: 'process:events.shop:0:3', outcome: 'failed', detail: 'no such column' }])
  expect(await states()).toEqual({ 'process:events.shop:0:3': 'closed', 'load:events.shop:0:3': 'open' })
})

it('says why a letter cannot be sent', async () => {
  const { deps, fail } = await open()
  await fail(1, { group: 'archive' })
  const { results } = await redriveLetters(deps, request)
  expect(results).toEqual([
    {
      id: 'archive:events.shop:0:1',
      outcome: 'refused',
      detail: `the group 'archive' has no topic redrive.archive`
    }
  ])
})

it('keeps to the rate, and to the limit: the oldest first', async () => {
  const { deps, fail, sent } = await open()
  for (let offset = 0; offset < 30; offset++) await fail(offset)
  const startedAt = performance.now()
  await redriveLetters(deps, { ...request, perSecond: 40, limit: 20 })
  expect(performance.now() - startedAt).toBeGreaterThan(200)
  expect(sent().map(({ headers }) => headers['dlq.offset']?.toString())).toEqual(
    Array.from({ length: 20 }, (_, at) => String(at))
  )
})

it('sends nothing without the lock of the project, and nothing more when it is lost', async () => {
  const { deps, fail, sent, database } = await open()
  for (let offset = 0; offset < 10; offset++) await fail(offset)
  const taken: RedriveDeps['lock'] = async () => {
    throw new AppError('PIPE_CONFLICT', 'being redriven already')
  }
  await expect(redriveLetters({ ...deps, lock: taken }, request)).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  expect([sent(), database.audit]).toEqual([[], []])
  let steps = 0
  const lost: RedriveDeps['lock'] = (_projectId, work) =>
    work(() => {
      if (++steps > 2) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'the lock is lost')
    })
  await expect(redriveLetters({ ...deps, lock: lost }, { ...request, perSecond: 16 })).rejects.toMatchObject({
    code: 'PIPE_POSTGRES_UNAVAILABLE'
  })
  expect(sent()).toHaveLength(8)
  await redriveLetters(deps, request)
  expect(sent()).toHaveLength(10)
})

it('previews what it would take, changes nothing, and picks by conditions', async () => {
  const { deps, fail, sent, database } = await open()
  await fail(1)
  await fail(2, { message: 'no such column' })
  await fail(1, { group: 'archive' })
  const pick = async (...where: string[]) =>
    (await previewRedrive(deps, { ...request, where })).letters.map(({ id }) => id)
  expect(await pick('group=load', 'message~OUT OF')).toEqual(['load:events.shop:0:1'])
  expect(await pick('offset=1,2', 'group!=load')).toEqual(['archive:events.shop:0:1'])
  expect(await pick('message=no such column')).toEqual(['load:events.shop:0:2'])
  await expect(pick('colour=red')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
  expect([sent(), database.audit]).toEqual([[], []])
})

it('groups letters by cause, the one with the most open letters first', async () => {
  const { deps, fail } = await open()
  for (const offset of [1, 2, 3]) await fail(offset)
  await fail(4, { message: 'no such column' })
  await dropLetters(deps, { ...request, where: ['offset=3'], reason: 'known' })
  const groups = groupLetters(await readLetters(deps, request))
  expect(groups.map(({ message, letters, states }) => [message, letters, states])).toEqual([
    ['row <n> is out of range', 3, { open: 2, redriven: 0, closed: 0, dropped: 1 }],
    ['no such column', 1, { open: 1, redriven: 0, closed: 0, dropped: 0 }]
  ])
})

it('shows a letter with the bytes and headers of its record', async () => {
  const { deps, fail } = await open()
  await fail(6)
  expect(await showLetter(deps, 'load:events.shop:0:6')).toMatchObject({
    key: 'k6',
    value: '{"n":6}',
    encoding: 'utf8',
    headers: { trace: 'x' },
    state: 'open'
  })
  await expect(showLetter(deps, 'load:events.shop:0:9')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  await expect(showLetter(deps, 'nonsense')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
})

it('refuses to look at more letters than it may hold', async () => {
  const { deps, fail } = await open()
  for (const offset of [1, 2, 3]) await fail(offset)
  expect(await readLetters({ ...deps, maxLetters: 3 }, request)).toHaveLength(3)
  await expect(readLetters({ ...deps, maxLetters: 2 }, request)).rejects.toMatchObject({
    code: 'PIPE_INVALID_INPUT',
    message: expect.stringContaining('more than 2 letters; look at those written since a time')
  })
  // What is asked for by its id, or is being redriven, is not in the way of the others.
  const few = { ...deps, maxLetters: 1 }
  expect(await showLetter(few, 'load:events.shop:0:2')).toMatchObject({ value: '{"n":2}' })
})
