// `millrace start` as people use it, on a stack of its own: killed without a chance to clean up, started again, stopped
// by Ctrl-C. Nothing may be left behind, and nothing may be lost.
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, existsSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { layout } from '@millrace/local-stack/layout'
import { runningParts } from '@millrace/local-stack/leftovers'
import { freePorts } from '@millrace/local-stack/listen'
import { portNames, portVariableOf } from '@millrace/local-stack/ports'
import { processStartedAt } from '@millrace/local-stack/process-identity'
import { runningServices } from '@millrace/local-stack/service-record'
import { portVariable, services } from '@millrace/local-stack/services'
import { stackWipe } from '@millrace/local-stack/stack-control'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { dataFolder } from '../src/context.ts'
import { readCredentials } from '../src/credentials.ts'

const bin = fileURLToPath(new URL('../bin/millrace.mjs', import.meta.url))
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-start-'))
const folder = dataFolder(dataDir)
const launched: ChildProcess[] = []
const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: process.env['HOME'] }

interface Report {
  readonly gatewayUrl: string
  readonly queryUrl: string
}

interface Launch {
  readonly child: ChildProcess
  /** Resolves with the report that `--json` prints when everything runs. */
  readonly ready: Promise<Report>
  /** Exit code, once it has ended. */
  readonly ended: Promise<number | null>
  errors(): string
}

function launch(): Launch {
  const child = spawn(process.execPath, [bin, 'start', '--json', '--no-traffic', '--data-dir', dataDir], {
    env,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  launched.push(child)
  let out = ''
  let errors = ''
  const { promise: ready, resolve, reject } = Promise.withResolvers<Report>()
  child.stderr.on('data', (data) => (errors += String(data)))
  child.stdout.on('data', (data) => {
    out += String(data)
    const [line] = out.split('\n')
    if (out.includes('\n')) resolve(JSON.parse(line ?? '') as Report)
  })
  const ended = new Promise<number | null>((done) => {
    child.once('exit', (code) => {
      reject(new Error(`start ended with ${code}: ${errors}`))
      done(code)
    })
  })
  ready.catch(() => {})
  return { child, ready, ended, errors: () => errors }
}

async function send(url: string, eventId: string): Promise<number> {
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'x-api-key': readCredentials(folder.credentials)?.writeKey ?? '', 'content-type': 'application/json' },
    body: JSON.stringify({ eventId, eventType: 'signup' })
  })
  return response.status
}

/** Events that SQL sees; undefined while the query service does not answer. */
async function count(url: string): Promise<unknown> {
  const response = await fetch(`${url}/v1/query?sql=${encodeURIComponent('SELECT count() FROM events')}`, {
    headers: { 'x-api-key': readCredentials(folder.credentials)?.secretKey ?? '', 'cache-control': 'no-cache' }
  })
  const { rows } = (await response.json()) as { rows?: readonly (readonly unknown[])[] }
  return rows?.[0]?.[0]
}

/** What `millrace schemas list` prints. */
function schemasOf(project: string): unknown {
  const args = [bin, 'schemas', 'list', '--project', project, '--json', '--data-dir', dataDir]
  return JSON.parse(execFileSync(process.execPath, args, { env, encoding: 'utf8' }))
}

beforeAll(async () => {
  for (const name of portNames) env[portVariableOf(name)] = '0'
  const ports = await freePorts(services.length)
  for (const [index, { name }] of services.entries()) env[portVariable(name)] = String(ports[index])
})

afterAll(async () => {
  for (const child of launched) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
  await Promise.all(
    launched.map(async (child) => {
      if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once('exit', done))
    })
  )
  await stackWipe(folder.stack)
  rmSync(dataDir, { recursive: true, force: true })
})

it(
  'heals killed services, survives a kill of the launcher, and stops without a trace',
  { timeout: 180_000 },
  async () => {
    const first = launch()
    const report = await first.ready
    expect(await send(report.gatewayUrl, 'one')).toBe(202)
    const credentials = readCredentials(folder.credentials)

    expect(schemasOf('demo')).toContainEqual(
      expect.objectContaining({ eventType: 'purchase', version: 1, mode: 'warn' })
    )

    // A killed service comes back by itself.
    const loader = runningServices(folder.stack).find(({ name }) => name === 'loader')
    process.kill(loader?.pid ?? 0, 'SIGKILL')
    await expect.poll(() => first.errors()).toContain('loader ended (SIGKILL); starting it again')
    await expect.poll(() => count(report.queryUrl), { timeout: 40_000 }).toBe(1)

    // A second launcher is turned away and changes nothing.
    const second = launch()
    expect(await second.ended).toBe(1)
    expect(second.errors()).toContain(`a pipeline runs here already (process ${first.child.pid})`)

    const left = [...runningServices(folder.stack), ...runningParts(folder.stack)]
    expect(left.map(({ name }) => name)).toHaveLength(services.length + 6)
    first.child.kill('SIGKILL')
    await first.ended
    expect(left.map(({ pid }) => processStartedAt(pid))).not.toContain(undefined)

    // The next start ends exactly those, and finds its data and keys.
    const third = launch()
    const again = await third.ready
    expect(left.filter(({ pid, startedAt }) => processStartedAt(pid) === startedAt)).toEqual([])
    expect(readCredentials(folder.credentials)).toEqual(credentials)
    expect(await count(again.queryUrl)).toBe(1)
    expect(await send(again.gatewayUrl, 'one')).toBe(409)
    expect(await send(again.gatewayUrl, 'two')).toBe(202)
    await expect.poll(() => count(again.queryUrl), { timeout: 30_000 }).toBe(2)

    const running = [...runningServices(folder.stack), ...runningParts(folder.stack)]
    third.child.kill('SIGINT')
    expect(await third.ended).toBe(0)
    expect(running.filter(({ pid, startedAt }) => processStartedAt(pid) === startedAt)).toEqual([])
    expect(existsSync(layout.lock(folder.stack))).toBe(false)
  }
)

it('leaves nothing when a second signal comes while it stops', { timeout: 120_000 }, async () => {
  const { child, ready, ended, errors } = launch()
  await ready
  const running = [...runningServices(folder.stack), ...runningParts(folder.stack)]
  expect(running).toHaveLength(services.length + 6)
  // Frozen services cannot stop by themselves, so the first signal alone would take long.
  for (const { pid } of runningServices(folder.stack)) process.kill(pid, 'SIGSTOP')
  child.kill('SIGINT')
  await expect.poll(errors).toContain('stopping (SIGINT)')
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  child.kill('SIGINT')
  expect(await ended).toBe(1)
  await expect.poll(() => running.filter(({ pid, startedAt }) => processStartedAt(pid) === startedAt)).toEqual([])
  expect(existsSync(layout.lock(folder.stack))).toBe(false)
})
