// The tool as people and scripts run it: a process with arguments, an exit code, and two streams.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaFields, load } from '@millrace/config'
import { parseApiKey } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { unique } from '@millrace/testkit/unique'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/millrace.mjs', import.meta.url))
const endpoints = testEndpoints()
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-cli-'))

interface Result {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

/** Runs the tool with `env` as its whole environment. */
function millrace(args: readonly string[], env: NodeJS.ProcessEnv = { ...endpoints }): Promise<Result> {
  const child = spawn(process.execPath, [bin, ...args, '--data-dir', dataDir], {
    env: { ...env, PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const result = { out: '', error: '' }
  child.stdout.on('data', (data) => (result.out += String(data)))
  child.stderr.on('data', (data) => (result.error += String(data)))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...result })))
}

async function json<T>(args: readonly string[]): Promise<T> {
  const { code, out, error } = await millrace([...args, '--json'])
  expect({ code, error }).toEqual({ code: 0, error: '' })
  return JSON.parse(out) as T
}

beforeAll(async () => {
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = endpoints
  await migrate({
    databaseDirectUrl: DATABASE_DIRECT_URL,
    clickhouseUrl: CLICKHOUSE_URL,
    log: createSilentLogger()
  })
})
afterAll(() => rmSync(dataDir, { recursive: true }))

describe('projects', () => {
  it('creates a project with keys, its topics, and its line in the list', async () => {
    const projectId = unique('cli')
    const created = await json<Record<string, string>>(['projects', 'create', projectId, '--name', 'A shop'])
    expect(Object.keys(created)).toEqual(['projectId', 'writeKey', 'secretKey'])
    expect(created['projectId']).toBe(projectId)
    expect(parseApiKey(created['writeKey'] ?? '')?.kind).toBe('write')
    expect(parseApiKey(created['secretKey'] ?? '')?.kind).toBe('secret')

    const projects = await json<{ projectId: string; name: string }[]>(['projects', 'list'])
    expect(projects.filter((project) => project.projectId === projectId)).toMatchObject([{ projectId, name: 'A shop' }])
    const topics = await json<{ topic: string; partitions: number }[]>(['topics', 'list'])
    expect(
      topics.filter(({ topic }) => topic.endsWith(`.${projectId}`)).map((each) => [each.topic, each.partitions])
    ).toEqual([
      [`events.${projectId}`, 4],
      [`events.dlq.${projectId}`, 2],
      [`events.processed.${projectId}`, 4]
    ])
    expect(statSync(join(dataDir, 'secrets.json')).mode & 0o777).toBe(0o600)
  })

  it('refuses the same project again in one line with exit code 1', async () => {
    const projectId = unique('cli')
    await millrace(['projects', 'create', projectId])
    expect(await millrace(['projects', 'create', projectId])).toEqual({
      code: 1,
      out: '',
      error: `millrace: the project '${projectId}' exists; its keys cannot be shown again, make new ones with \`millrace keys create\`\n`
    })
  })

  it('changes settings, shows them, and refuses wrong ones without changing anything', async () => {
    const projectId = unique('cli')
    await json(['projects', 'create', projectId])
    const limits = { project: { eventsPerSecond: 50, burst: 100 }, perUser: { eventsPerSecond: 2, burst: 9 } }
    const changes = ['limits.project.eventsPerSecond=50', 'limits.perUser.eventsPerSecond=2', 'limits.perUser.burst=9']
    const settings = { keyTemplate: 'eventId', corsOrigins: [], limits }
    expect(await json(['projects', 'set', projectId, ...changes])).toMatchObject({ projectId, settings, problems: [] })
    const refused = await millrace(['projects', 'set', projectId, 'keyTemplate=userId', 'limits.perUser.burst='])
    const error = "millrace: keyTemplate must be eventId or eventType:eventId, not 'userId'\n"
    expect(refused).toEqual({ code: 1, out: '', error })
    expect((await millrace(['projects', 'set', projectId, 'keyTemplate'])).code).toBe(2)
    expect(await json(['projects', 'show', projectId])).toMatchObject({ projectId, logGeneration: 1, settings })
  })

  it('refuses an id that is none', async () => {
    const { code, out, error } = await millrace(['projects', 'create', 'Not_an_id'])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(error).toMatch(/^millrace: 'Not_an_id' is no project id: [^\n]+\n$/)
  })
})

describe('keys', () => {
  it('creates, lists and revokes a key, and never shows its secret again', async () => {
    const projectId = unique('cli')
    await json(['projects', 'create', projectId])
    const created = await json<{ keyId: string; key: string; kind: string }>([
      'keys',
      'create',
      projectId,
      '--kind',
      'secret',
      '--expires',
      '2999-01-01'
    ])
    expect(created).toMatchObject({ projectId, kind: 'secret', keyId: parseApiKey(created.key)?.id })
    const find = async (): Promise<Record<string, unknown> | undefined> =>
      (await json<Record<string, unknown>[]>(['keys', 'list', projectId])).find(({ keyId }) => keyId === created.keyId)
    expect(await find()).toMatchObject({ expiresAt: '2999-01-01T00:00:00.000Z', revokedAt: null })
    expect((await millrace(['keys', 'list', projectId])).out).not.toContain(parseApiKey(created.key)?.secret)

    expect(await json(['keys', 'revoke', created.keyId])).toEqual({ keyId: created.keyId, revoked: true })
    expect((await find())?.['revokedAt']).toEqual(expect.any(String))
  })

  it.each([
    [['keys', 'list', 'no-such-project'], "millrace: there is no project 'no-such-project'\n"],
    [['keys', 'create', 'no-such-project'], "millrace: there is no project 'no-such-project'\n"],
    [['keys', 'revoke', 'AAAAAAAA'], "millrace: there is no API key with the id 'AAAAAAAA'\n"]
  ])('%j fails in one line', async (args, error) => {
    expect(await millrace(args)).toEqual({ code: 1, out: '', error })
  })
})

describe('topics', () => {
  it('shows a changed setting, reconciles it, and then finds no difference', async () => {
    const project = unique('cli')
    await json(['projects', 'create', project])
    await using kafka = await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger() })
    await (await kafka.admin()).alterTopicConfig(`events.${project}`, { 'retention.ms': '1000000' })
    const diff = await millrace(['topics', 'diff', '--project', project])
    expect(diff).toEqual({
      code: 1,
      out: `events.${project}: retention.ms is 1000000, declared 604800000\n`,
      error: 'millrace: 1 difference(s) from topics.yaml; run `npx millrace topics ensure`\n'
    })
    expect(await json(['topics', 'ensure', '--project', project])).toMatchObject({
      created: [],
      grown: [],
      configured: [`events.${project}`]
    })
    expect(await json(['topics', 'diff', '--project', project])).toEqual([])
  })
})

describe('wrong use', () => {
  it.each([
    [['nonsense'], 'unknown command'],
    [['keys', 'create'], "missing required argument 'projectId'"],
    [['keys', 'create', 'demo', '--kind', 'admin'], 'Allowed choices are write, secret.'],
    [['keys', 'create', 'demo', '--expires', 'soon'], 'an ISO 8601 date or time'],
    [['stack', 'wipe'], 'add --yes to do it']
  ])('%j is one line and exit code 2', async (args, message) => {
    const { code, out, error } = await millrace(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(error).toMatch(/^millrace: [^\n]+\n$/)
    expect(error).toContain(message)
  })

  it('says how to start a stack when there is none', async () => {
    const { code, error } = await millrace(['projects', 'list'], {})
    expect(code).toBe(1)
    expect(error).toBe(
      `millrace: there is no stack in ${join(dataDir, 'stack')}: run \`npm start\` or \`npx millrace stack up\`, or set DATABASE_URL\n`
    )
  })
})
