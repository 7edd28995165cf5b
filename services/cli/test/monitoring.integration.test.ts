// Lag, drop rules and growth as a person asks for them, against real stores.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique } from '@millrace/testkit/unique'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createMemoryTerminal } from '../src/memory-terminal.ts'
import { createProgram } from '../src/program.ts'

const endpoints = testEndpoints()
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
const project = unique('watch')
const topic = `events.${project}`

/** What a command prints. */
async function millrace(...args: readonly string[]): Promise<string> {
  const terminal = createMemoryTerminal()
  const program = createProgram({ terminal, env: { ...endpoints }, clock: systemClock })
  await program.parseAsync([...args, '--data-dir', dataDir], { from: 'user' })
  return terminal.printed()
}
const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse(await millrace(...args, '--json')) as T

beforeAll(async () => {
  await millrace('projects', 'create', project)
})
afterAll(() => rmSync(dataDir, { recursive: true }))

it('lag counts from where the sink stands, and tells the age of the next record', async () => {
  await using kafka = await openTestKafka()
  const producer = await kafka.producer()
  const records = Array.from({ length: 30 }, (_, n) => ({ partition: 0, key: null, value: Buffer.from(`{"n":${n}}`) }))
  const [first] = await producer.produce(topic, records)
  if (first?.kind !== 'acked') throw new Error('not acked')
  await using postgres = await openPostgres({
    url: endpoints.DATABASE_URL,
    poolSize: 1,
    log: createSilentLogger(),
    name: 'test'
  })
  // A second epoch of the archive: the newest one counts.
  await postgres.query(
    `INSERT INTO archive_heads (topic, "partition", epoch, position) VALUES ($1, 0, 1, 2), ($1, 0, 2, 10)
     ON CONFLICT (topic, "partition", epoch) DO UPDATE SET position = EXCLUDED.position`,
    [topic]
  )
  const { rows } = await json<{ rows: readonly Record<string, unknown>[] }>(
    'lag',
    '--project',
    project,
    '--group',
    'archive'
  )
  const [behind, ...others] = rows
  expect(behind).toMatchObject({ group: 'archive', topic, partition: 0, position: '10', end: '30', records: 20 })
  expect(Number(behind?.['seconds'])).toBeGreaterThanOrEqual(0)
  expect(Number(behind?.['seconds'])).toBeLessThan(60)
  expect(others.map(({ partition, records: count, seconds }) => [partition, count, seconds])).toEqual([
    [1, 0, 0],
    [2, 0, 0],
    [3, 0, 0]
  ])
  const table = await millrace('lag', '--project', project, '--group', 'archive')
  expect(table.split('\n')[0]).toMatch(/^group +topic +partitions +behind +records +oldest$/)
  expect(table).toMatch(new RegExp(`^archive +${topic} +4 +1 +20 +\\d+ s$`, 'm'))
})

it('drop rules are made once, shown, taken back, and told in the audit log', async () => {
  const subject = ['--project', project, '--user', 'bot-17'] as const
  const made = await json('drops', 'add', ...subject, '--reason', 'loop in 4.2')
  expect(made).toMatchObject({ projectId: project, kind: 'userId', key: 'bot-17', reason: 'loop in 4.2' })
  expect(await json('drops', 'add', ...subject)).toEqual(made)
  expect(await json('drops', 'ls', '--project', project)).toEqual([made])
  expect(await millrace('projects', 'show', project)).not.toContain('left out')
  expect(await json('drops', 'remove', ...subject)).toEqual(made)
  expect(await json('drops', 'ls', '--project', project)).toEqual([])
  await expect(millrace('drops', 'remove', ...subject)).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  await expect(millrace('drops', 'ls', '--project', 'nobody')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  await expect(millrace('drops', 'add', '--project', project)).rejects.toThrow(/name one of/)
  await using postgres = await openPostgres({
    url: endpoints.DATABASE_URL,
    poolSize: 1,
    log: createSilentLogger(),
    name: 'test'
  })
  const told = await postgres.query<{ action: string; key: string | null }>(
    `SELECT action, coalesce(after, before)->>'key' AS key FROM audit_log
     WHERE project_id = $1 AND action LIKE 'drop.%' ORDER BY id`,
    [project]
  )
  expect(told).toEqual([
    { action: 'drop.add', key: 'bot-17' },
    { action: 'drop.remove', key: 'bot-17' }
  ])
})

it('hot shows what the log says also when no gateway can be asked', async () => {
  const terminal = createMemoryTerminal()
  const program = createProgram({ terminal, env: { ...endpoints, ADMIN_TOKEN: 'mr_a_x' }, clock: systemClock })
  const args = ['hot', '--project', project, '--seconds', '1', '--gateway', 'http://127.0.0.1:1', '--data-dir', dataDir]
  await expect(program.parseAsync(args, { from: 'user' })).rejects.toMatchObject({ code: 'PIPE_DELIVERY' })
  expect(terminal.printed()).toMatch(new RegExp(`^topic +partition +leader[^]*^${topic} +0 `, 'm'))
})

it('growth is shown before it is made', async () => {
  expect(await millrace('topics', 'grow', project, '--partitions', '8', '--dry-run')).toBe(
    [
      `1. write 8 partitions of ${project} into topics.yaml`,
      '2. grow the processed topic from 4 to 8, and wait for its readers',
      '3. grow the raw topic from 4 to 8, and wait for its groups\n'
    ].join('\n')
  )
  await expect(millrace('topics', 'grow', project, '--partitions', '2', '--dry-run')).rejects.toMatchObject({
    code: 'PIPE_INVALID_INPUT'
  })
})
