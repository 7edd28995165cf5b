// The supervisor with real processes: a small HTTP server stands in for each service.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { processStartedAt } from '@millrace/local-stack/process-identity'
import { startServices } from '@millrace/local-stack/supervisor'
import type { SupervisorOptions } from '@millrace/local-stack/supervisor'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-supervisor-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function start(options: Partial<SupervisorOptions> = {}) {
  return startServices({
    endpoints: { KAFKA_BROKERS: '127.0.0.1:1' },
    pepper: 'pepper-of-the-test',
    folder,
    ports: 'ephemeral',
    only: ['gateway', 'loader'],
    entry: () => 'infra/local/test/fixture-service.ts',
    ...options
  })
}

async function environmentOf(url: string): Promise<Record<string, string>> {
  const response = await fetch(url)
  return (await response.json()) as Record<string, string>
}

it('gives a service its endpoints, the pepper and its port, and nothing of its own environment', async () => {
  await using running = await start({ env: { LOG_LEVEL: 'debug' }, serviceEnv: { loader: { BATCH_SIZE: '7' } } })
  const loader = running.service('loader')
  expect(await environmentOf(loader.url)).toEqual({
    KAFKA_BROKERS: '127.0.0.1:1',
    API_KEY_PEPPER: 'pepper-of-the-test',
    LOG_LEVEL: 'debug',
    BATCH_SIZE: '7',
    PORT: String(loader.port)
  })
  expect(() => running.service('query')).toThrow('service query is not part of this run')
})

it('brings a killed service back on the same port without the settings of its first process', async () => {
  await using running = await start({ firstEnv: { loader: { MILLRACE_FAULTS: 'x:kill' } } })
  const loader = running.service('loader')
  const before = loader.pid
  expect(await environmentOf(loader.url)).toMatchObject({ MILLRACE_FAULTS: 'x:kill' })
  loader.kill('SIGKILL')
  await expect.poll(() => loader.starts).toBe(2)
  await loader.ready()
  expect(loader.pid).not.toBe(before)
  expect(Object.keys(await environmentOf(loader.url))).not.toContain('MILLRACE_FAULTS')
})

it('stops everything gracefully when disposed', async () => {
  const running = await start()
  const pids = running.all.map(({ pid }) => pid ?? 0)
  expect(pids.map(processStartedAt)).not.toContain(undefined)
  await running[Symbol.asyncDispose]()
  expect(pids.map(processStartedAt)).toEqual([undefined, undefined])
  for (const { logFile } of running.all) expect(readFileSync(logFile, 'utf8')).toContain('stopped gracefully')
})

it('ends what an earlier, killed launcher left behind', async () => {
  const launcher = spawn(process.execPath, [fileURLToPath(new URL('fixture-launcher.ts', import.meta.url)), folder], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const printed = await new Promise<string>((resolve) => launcher.stdout.once('data', (data) => resolve(String(data))))
  const pids = printed.trim().split(' ').map(Number)
  launcher.kill('SIGKILL')
  await new Promise((resolve) => launcher.once('exit', resolve))
  expect(pids.map(processStartedAt)).not.toContain(undefined)
  await using running = await start()
  expect(pids.map(processStartedAt)).toEqual([undefined, undefined])
  expect(running.all.map(({ state }) => state)).toEqual(['up', 'up'])
})

it('names the log of a service that does not start and leaves none running', async () => {
  const failing = start({ serviceEnv: { loader: { FIXTURE_FAILS: '1' } } })
  await expect(failing).rejects.toThrow(`loader did not start (exit code 1); its log is ${folder}/logs/loader.log`)
  expect(JSON.parse(readFileSync(join(folder, 'services.json'), 'utf8'))).toEqual([])
  expect(readFileSync(join(folder, 'logs/loader.log'), 'utf8')).toContain('DATABASE_URL is required')
})

it('refuses a port that is taken and says how to move', async () => {
  const server = createServer().listen({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await expect(start({ ports: { gateway: port }, only: ['gateway'] })).rejects.toThrow(
    new RegExp(`^port ${port} of gateway is taken by process ${process.pid} .*: stop it, or set MILLRACE_PORT_GATEWAY$`)
  )
  server.close()
})
