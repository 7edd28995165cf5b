import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { uniqueProject } from '@millrace/testkit/unique'
import { createKeyStore } from '@millrace/stores/api-keys'
import type { KeyStore, KeyStoreOptions } from '@millrace/stores/api-keys'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { createKey, listKeys, revokeKey } from '../src/keys.ts'
import { schemasFolder } from '../src/migrate.ts'
import { createProject, listProjects } from '../src/projects.ts'
import type { ProjectAdmin } from '../src/projects.ts'
import { setProject, showProject } from '../src/project-settings.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let postgres: Postgres
let keys: KeyStore

const admin = (options: Partial<ProjectAdmin> = {}): ProjectAdmin => ({
  postgres,
  pepper: 'pepper',
  actor: 'test:me',
  ensureTopics: async () => undefined,
  ...options
})
const keyStore = (options: Partial<KeyStoreOptions> = {}): KeyStore =>
  createKeyStore({ postgres, pepper: 'pepper', clock: systemClock, log, ...options })
const audit = async (projectId: string): Promise<readonly unknown[]> =>
  await postgres.query('SELECT actor, action, subject FROM audit_log WHERE project_id = $1 ORDER BY id', [projectId])

beforeAll(async () => {
  const { databaseUrl: url } = stack.use(await openTestDatabases('operations'))
  await migratePostgres({ url, folder: new URL('postgres/', schemasFolder), log })
  postgres = stack.use(await openPostgres({ url, poolSize: 4, log, name: 'test' }))
  keys = keyStore()
})
afterAll(() => stack.disposeAsync())

describe('createProject', () => {
  it('makes a project whose keys work at once, each for what it may do', async () => {
    const projectId = uniqueProject()
    const created = await createProject(admin(), { projectId, name: 'My shop' })
    expect(await keys.authenticate(created.writeKey, 'write')).toMatchObject({ kind: 'ok', projectId })
    expect(await keys.authenticate(created.writeKey, 'read')).toEqual({ kind: 'forbidden' })
    expect(await keys.authenticate(created.secretKey, 'read')).toMatchObject({ kind: 'ok', projectId })
    const listed = (await listProjects(postgres)).find((project) => project.projectId === projectId)
    expect(listed).toMatchObject({ name: 'My shop', logGeneration: 1 })
  })

  it('has the topics made before the project is there', async () => {
    const projectId = uniqueProject()
    const seen: unknown[] = []
    const ensureTopics = async (id: string): Promise<void> => {
      const found = await postgres.query('SELECT 1 FROM projects WHERE id = $1', [id])
      seen.push([id, found.length])
    }
    await createProject(admin({ ensureTopics }), { projectId })
    expect(seen).toEqual([[projectId, 0]])
  })

  it('writes nothing when the topics cannot be made, and succeeds when repeated', async () => {
    const projectId = uniqueProject()
    const ensureTopics = async (): Promise<never> => {
      throw new Error('no broker')
    }
    await expect(createProject(admin({ ensureTopics }), { projectId })).rejects.toThrow('no broker')
    expect(await audit(projectId)).toEqual([])
    await createProject(admin(), { projectId })
    expect((await listKeys(postgres, projectId)).map(({ kind }) => kind).sort()).toEqual(['secret', 'write'])
  })

  it('makes one project of many calls at once and tells the others of the conflict', async () => {
    const projectId = uniqueProject()
    const calls = await Promise.allSettled([1, 2, 3, 4].map(() => createProject(admin(), { projectId })))
    expect(calls.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const call of calls) {
      if (call.status === 'rejected') expect(call.reason).toMatchObject({ code: 'PIPE_CONFLICT' })
    }
    expect(await listKeys(postgres, projectId)).toHaveLength(2)
    await expect(createProject(admin(), { projectId })).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  })

  it('notes who did it, without any secret', async () => {
    const projectId = uniqueProject()
    const created = await createProject(admin(), { projectId })
    const [write, secret] = [created.writeKey.slice(5, 13), created.secretKey.slice(5, 13)]
    expect(await audit(projectId)).toEqual([
      { actor: 'test:me', action: 'project.create', subject: projectId },
      { actor: 'test:me', action: 'key.create', subject: write },
      { actor: 'test:me', action: 'key.create', subject: secret }
    ])
    const [dump] = await postgres.query<{ text: string }>(
      `SELECT (SELECT string_agg(a::text, '') FROM audit_log a) || (SELECT string_agg(k::text, '') FROM api_keys k) AS text`
    )
    expect(dump?.text).toContain(write)
    expect(dump?.text).not.toContain(created.writeKey.slice(13, 45))
    expect(dump?.text).not.toContain(created.secretKey.slice(13, 45))
  })
})

describe('setProject', () => {
  it('changes all of what was asked, which keys show at their next look-up, and notes before and after', async () => {
    const projectId = uniqueProject()
    const { writeKey } = await createProject(admin(), { projectId })
    const limits = { project: { eventsPerSecond: 5, burst: 10 } }
    const shown = await setProject(admin(), projectId, [['limits.project.eventsPerSecond', '5']])
    expect(shown.settings).toEqual({ keyTemplate: 'eventId', corsOrigins: [], limits })
    expect(await showProject(postgres, projectId)).toEqual(shown)
    expect(await keyStore().authenticate(writeKey, 'write')).toMatchObject({ logGeneration: 1, settings: { limits } })
    const [noted] = await postgres.query(
      `SELECT actor, before, after FROM audit_log WHERE project_id = $1 AND action = 'project.set'`,
      [projectId]
    )
    const after = { limits: { project: { eventsPerSecond: 5 } } }
    expect(noted).toEqual({ actor: 'test:me', before: {}, after })
  })

  it('changes nothing when one change is wrong, and knows no project that is not there', async () => {
    const projectId = uniqueProject()
    await createProject(admin(), { projectId })
    const before = await showProject(postgres, projectId)
    const wrong = setProject(admin(), projectId, [
      ['keyTemplate', 'eventType:eventId'],
      ['limits.project.burst', 'many']
    ])
    await expect(wrong).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    expect(await showProject(postgres, projectId)).toEqual(before)
    await expect(setProject(admin(), uniqueProject(), [])).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })

  it('loses no change of two that are made at once', async () => {
    const projectId = uniqueProject()
    await createProject(admin(), { projectId })
    await Promise.all([
      setProject(admin(), projectId, [['keyTemplate', 'eventType:eventId']]),
      setProject(admin(), projectId, [['corsOrigins', '*']])
    ])
    const { settings } = await showProject(postgres, projectId)
    expect(settings).toMatchObject({ keyTemplate: 'eventType:eventId', corsOrigins: ['*'] })
  })
})

describe('keys', () => {
  it('are made for a project that exists, and only for one', async () => {
    const projectId = uniqueProject()
    await expect(createKey(admin(), { projectId, kind: 'write' })).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    await createProject(admin(), { projectId })
    const { key, keyId } = await createKey(admin(), { projectId, kind: 'write' })
    expect(await keys.authenticate(key, 'write')).toMatchObject({ kind: 'ok', projectId, keyId })
    await expect(listKeys(postgres, uniqueProject())).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })

  it('stop working when revoked, which may be repeated and is noted once', async () => {
    const projectId = uniqueProject()
    await createProject(admin(), { projectId })
    const { key, keyId } = await createKey(admin(), { projectId, kind: 'secret' })
    await revokeKey(admin(), keyId)
    await revokeKey(admin(), keyId)
    expect(await keyStore().authenticate(key, 'read')).toEqual({ kind: 'invalid' })
    const listed = (await listKeys(postgres, projectId)).find((listed) => listed.keyId === keyId)
    expect(listed?.revokedAt).toBeInstanceOf(Date)
    const revocations = (await audit(projectId)).filter((row) => (row as { action: string }).action === 'key.revoke')
    expect(revocations).toEqual([{ actor: 'test:me', action: 'key.revoke', subject: keyId }])
    await expect(revokeKey(admin(), '00000000')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })

  it('stop working at their end, and are worth nothing under another pepper', async () => {
    const projectId = uniqueProject()
    const { writeKey } = await createProject(admin(), { projectId })
    const expired = await createKey(admin(), { projectId, kind: 'write', expiresAt: new Date(systemClock.now() - 1) })
    expect(await keys.authenticate(expired.key, 'write')).toEqual({ kind: 'invalid' })
    expect(await keyStore({ pepper: 'other' }).authenticate(writeKey, 'write')).toEqual({ kind: 'invalid' })
  })

  it('have their last use noted', async () => {
    const projectId = uniqueProject()
    const { writeKey } = await createProject(admin(), { projectId })
    await keyStore().authenticate(writeKey, 'write')
    const used = await eventually('the use is noted', async () => {
      const row = (await listKeys(postgres, projectId)).find(({ keyId }) => keyId === writeKey.slice(5, 13))
      return row?.lastUsedAt ?? undefined
    })
    expect(Math.abs(systemClock.now() - used.getTime())).toBeLessThan(60_000)
  })
})

describe('a key store without its server', () => {
  it('says unavailable for a key it has never seen', async () => {
    const projectId = uniqueProject()
    const { writeKey } = await createProject(admin(), { projectId })
    await using away = await openPostgres({ url: 'postgres://u:p@127.0.0.1:1/x', poolSize: 1, log, name: 'test' })
    expect(await keyStore({ postgres: away }).authenticate(writeKey, 'write')).toEqual({ kind: 'unavailable' })
  })
})
