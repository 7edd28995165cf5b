// `millrace doctor` and `millrace migrate` as a deployment runs them: settings of the environment, and an exit code.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@millrace/kernel'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { afterAll, expect, it } from 'vitest'
import { createMemoryTerminal } from '../src/memory-terminal.ts'
import { createProgram } from '../src/program.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
afterAll(() => rmSync(dataDir, { recursive: true }))

/** What a command prints, and what it throws. */
async function millrace(
  args: readonly string[],
  env: Readonly<Record<string, string>>
): Promise<{ readonly printed: string; readonly error: unknown }> {
  const terminal = createMemoryTerminal()
  const program = createProgram({ terminal, env: { ...testEndpoints(), ...env }, clock: systemClock })
  const error = await program
    .parseAsync([...args, '--data-dir', dataDir], { from: 'user' })
    .then(() => undefined)
    .catch((thrown: unknown) => thrown)
  return { printed: terminal.printed().trim(), error }
}

it('migrates empty databases once, and the doctor finds what is not migrated', async () => {
  await using databases = await openTestDatabases('climigrate')
  const { databaseUrl: DATABASE_URL, clickhouseUrl: CLICKHOUSE_URL } = databases
  const env = { DATABASE_URL, DATABASE_DIRECT_URL: DATABASE_URL, CLICKHOUSE_URL }
  const sick = await millrace(['doctor', '--only', 'schemas', '--json'], env)
  expect(sick.error).toMatchObject({ code: 'PIPE_STACK', message: expect.stringMatching(/^\d+ finding\(s\) to mend$/) })
  expect(JSON.parse(sick.printed)).toMatchObject({ healthy: false })

  const first = await millrace(['migrate', '--json'], env)
  const applied = JSON.parse(first.printed) as { postgres: readonly string[]; clickhouse: readonly string[] }
  expect(applied.postgres[0]).toBe('0001_projects_and_keys.sql')
  expect(applied.clickhouse[0]).toBe('0001_events_raw.sql')
  expect((await millrace(['migrate'], env)).printed).toBe('nothing to do')

  const { printed, error } = await millrace(['doctor', '--only', 'schemas,postgres,connections'], env)
  expect(error).toBeUndefined()
  expect(printed).toContain('schemas      ok      databases  every migration is applied')
  expect(printed).toMatch(/3 examined, 0 to look at$/)
})

it('examines the others while Kafka is away, and says that it is', async () => {
  const away = { KAFKA_BROKERS: '127.0.0.1:1' }
  const { printed, error } = await millrace(['doctor', '--only', 'topics,postgres', '--json'], away)
  expect(error).toMatchObject({ code: 'PIPE_STACK', message: '1 finding(s) to mend' })
  const { findings } = JSON.parse(printed) as { findings: readonly Record<string, string>[] }
  expect(findings).toMatchObject([
    { check: 'topics', status: 'failure', detail: expect.stringMatching(/^PIPE_KAFKA_UNAVAILABLE: /) },
    { check: 'postgres', status: 'ok' }
  ])
})

it('says what to mend, and how, and that it is not healthy', async () => {
  const { printed, error } = await millrace(['doctor', '--only', 'connections', '--pools', '100000'], {})
  expect(error).toMatchObject({ code: 'PIPE_STACK', message: '1 finding(s) to mend' })
  expect(printed).toMatch(/failure: connections, pools\n {2}may open 100000 connections[^\n]+\n {2}fix: PgBouncer /)
  expect((await millrace(['doctor', '--only', 'weather'], {})).error).toMatchObject({ name: 'UsageError' })
})

it('takes warnings for failures when it is told to', async () => {
  const open = { KAFKA_SSL: 'false', CLICKHOUSE_URL: 'http://m:Zr9xQ2mB7@warehouse.example.com:8123/app' }
  const [lenient, strict] = [
    await millrace(['doctor', '--only', 'settings'], open),
    await millrace(['doctor', '--only', 'settings', '--strict'], open)
  ]
  expect([lenient.error, strict.error]).toMatchObject([undefined, { message: '1 finding(s) to mend' }])
  expect(strict.printed).not.toContain('Zr9xQ2mB7')
})
