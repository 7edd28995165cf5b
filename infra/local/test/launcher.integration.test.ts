// The launcher on the real parts: readiness, clashes, crashes of the launcher and of parts, and what is left afterwards.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { isFree } from '../src/listen.ts'
import { layout } from '../src/layout.ts'
import { partNames } from '../src/part.ts'
import { processStartedAt } from '../src/process-identity.ts'
import { startStack } from '../src/stack.ts'
import type { Stack } from '../src/stack.ts'
import { attachStack, stackDown, stackState, stackStatus, stackUp, stackWipe } from '../src/stack-control.ts'
import { tcpExchange } from '../src/tcp-exchange.ts'

/** A data folder that PostgreSQL's system user can reach; `mkdtemp` alone makes a private one. */
async function temporaryFolder(mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-launcher-'))
  await chmod(folder, mode)
  return folder
}

async function redis(port: number, command: string): Promise<string> {
  const answer = await tcpExchange(port, Buffer.from(`${command}\r\n`), (bytes) => bytes.toString().endsWith('\r\n'))
  return answer.toString().trim()
}

async function clickhouse(stack: Stack, sql: string): Promise<string> {
  const url = new URL(stack.endpoints.CLICKHOUSE_URL)
  const authorization = `Basic ${Buffer.from(`${url.username}:${url.password}`).toString('base64')}`
  const response = await fetch(`http://${url.host}/`, { method: 'POST', body: sql, headers: { authorization } })
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return text.trim()
}

function pidsOf(stack: Stack): number[] {
  return stack.parts.map(({ pid }) => pid ?? 0)
}

function running(pids: readonly number[]): number[] {
  return pids.filter((pid) => processStartedAt(pid) !== undefined)
}

describe('a running stack', () => {
  let stack: Stack
  const lines: string[] = []
  const exits: string[] = []

  beforeAll(async () => {
    stack = await startStack({
      dataDir: await temporaryFolder(),
      ports: 'ephemeral',
      log: (line) => lines.push(line),
      onPartExit: (name, how) => exits.push(`${name} ${how}`)
    })
  })
  afterAll(async () => {
    await stack.stop()
    await stackWipe(stack.dataDir)
  })

  test('has every part running, each with its own pid and log', async () => {
    expect(stack.parts.map(({ name }) => name).toSorted()).toEqual([...partNames].toSorted())
    expect(new Set(running(pidsOf(stack))).size).toBe(partNames.length)
    for (const { logFile } of stack.parts) expect((await stat(logFile)).isFile()).toBe(true)
  })

  test('told one aligned line with the seconds per part', () => {
    const ready = lines.filter((line) => /^[a-z-]+ +ready in +\d+\.\d s {2}127\.0\.0\.1:\d+$/.test(line))
    expect(ready).toHaveLength(partNames.length)
    expect(new Set(ready.map((line) => line.indexOf('ready'))).size).toBe(1)
  })

  test('writes its endpoints for this user only', async () => {
    const file = layout.endpoints(stack.dataDir)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(stack.endpoints)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test('gives each Redis role its policy', async () => {
    for (const [role, policy] of [
      ['dedup', 'noeviction'],
      ['state', 'noeviction'],
      ['cache', 'allkeys-lru']
    ] as const) {
      const answer = await redis(stack.part(`redis-${role}`).port, 'CONFIG GET maxmemory-policy')
      expect(answer.split('\r\n').at(-1)).toBe(policy)
    }
    const fsync = await redis(stack.part('redis-state').port, 'CONFIG GET appendfsync')
    expect(fsync.split('\r\n').at(-1)).toBe('everysec')
  })

  test('refuses a second launcher on its folder and names the first', async () => {
    const second = startStack({ dataDir: stack.dataDir, ports: 'ephemeral' })
    await expect(second).rejects.toThrow(`is run by process ${process.pid}: stop that one first`)
    expect(running(pidsOf(stack))).toHaveLength(partNames.length)
  })

  test('refuses to be ended or wiped from outside', async () => {
    await expect(stackDown(stack.dataDir)).rejects.toThrow(`is run by process ${process.pid}`)
    await expect(stackWipe(stack.dataDir)).rejects.toThrow(`is run by process ${process.pid}`)
    expect(running(pidsOf(stack))).toHaveLength(partNames.length)
  })

  test.each(['redis-state', 'postgres', 'clickhouse', 'kafka'] as const)(
    'starts a killed %s again on the same port',
    async (name) => {
      const { pid, port } = stack.part(name)
      expect(stack.kill(name, 'SIGKILL')).toBe(true)
      await stack.restart(name)
      expect(stack.part(name).port).toBe(port)
      expect(stack.part(name).pid).not.toBe(pid)
      expect(running([pid ?? 0, stack.part(name).pid ?? 0])).toEqual([stack.part(name).pid])
    }
  )

  test('ends a part that was stopped with SIGSTOP in its own order', async () => {
    const { pid = 0, port } = stack.part('redis-dedup')
    await redis(port, 'SET kept yes')
    stack.kill('redis-dedup', 'SIGSTOP')
    await stack.restart('redis-dedup')
    expect(running([pid])).toEqual([])
    // Its snapshot is written at an orderly end only.
    expect(await redis(port, 'GET kept')).toBe('$3\r\nyes')
  })

  test('tells when a part ends that nobody asked to', async () => {
    const { pid = 0 } = stack.part('redis-cache')
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => exits).toEqual(['redis-cache SIGKILL'])
    expect(stack.part('redis-cache').pid).toBeUndefined()
    await stack.restart('redis-cache')
    expect(await redis(stack.part('redis-cache').port, 'PING')).toBe('+PONG')
  })

  test('can be attached to from elsewhere, for signals and restarts', async () => {
    const other = await attachStack(stack.dataDir)
    expect(pidsOf(other)).toEqual(pidsOf(stack))
    await other.restart('redis-cache')
    expect(other.part('redis-cache').pid).toBe(stack.part('redis-cache').pid)
    await other.stop()
    expect(running(pidsOf(stack))).toHaveLength(partNames.length)
  })
})

describe('starting and ending', () => {
  test('leaves no process, no lock and no port behind, also when its start is given up', async () => {
    const dataDir = await temporaryFolder()
    onTestFinished(() => stackWipe(dataDir))
    const stack = await startStack({ dataDir, ports: 'ephemeral' })
    const pids = pidsOf(stack)
    const ports = stack.parts.map(({ port }) => port)
    await stack.stop()
    expect(running(pids)).toEqual([])
    expect(existsSync(layout.lock(dataDir))).toBe(false)
    expect(await Promise.all(ports.map(isFree))).toEqual(ports.map(() => true))

    const giveUp = new AbortController()
    const second = startStack({ dataDir, ports: 'ephemeral', signal: giveUp.signal, log: () => giveUp.abort() })
    await expect(second).rejects.toThrow('aborted')
    expect(stackState(stackStatus(dataDir))).toBe('down')
    expect(existsSync(layout.lock(dataDir))).toBe(false)
  })

  test('names the port, its holder and the variable when a port is taken, and starts nothing', async () => {
    const dataDir = await temporaryFolder()
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    onTestFinished(() => void holder.close())
    const { port } = holder.address() as AddressInfo
    const zeros = Object.fromEntries(partNames.map((name) => [name, 0]))
    const ports = { ...zeros, 'kafka-controller': 0, 'redis-state': port }
    const error = await startStack({ dataDir, ports }).catch((thrown: unknown) => thrown as Error)
    const start = `port ${port} of redis-state is taken by process ${process.pid} (`
    expect(error).toMatchObject({ code: 'PIPE_STACK', message: expect.stringContaining(start) })
    expect((error as Error).message).toMatch(/\): stop it, or set MILLRACE_PORT_REDIS_STATE$/)
    expect((error as Error).message).not.toContain('\n')
    expect(stackState(stackStatus(dataDir))).toBe('down')
  })

  test('recovers a folder whose launcher was killed, with the data kept', async () => {
    const dataDir = await temporaryFolder()
    const fixture = fileURLToPath(new URL('fixture-stack-launcher.ts', import.meta.url))
    const launcher = spawn(process.execPath, [fixture, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(async () => {
      launcher.kill('SIGKILL')
      await stackWipe(dataDir)
    })
    const [line] = (await once(launcher.stdout, 'data')) as [Buffer]
    const orphans = JSON.parse(line.toString()) as number[]
    const attached = await attachStack(dataDir)
    await redis(attached.part('redis-state').port, 'SET kept yes')
    await clickhouse(attached, 'CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a')
    await clickhouse(attached, 'INSERT INTO kept VALUES (7)')

    launcher.kill('SIGKILL')
    await once(launcher, 'exit')
    expect(running(orphans)).toHaveLength(partNames.length)
    expect(stackStatus(dataDir)).toMatchObject({ launcherPid: undefined })

    const lines: string[] = []
    await using stack = await startStack({ dataDir, ports: 'ephemeral', log: (text) => lines.push(text) })
    expect(lines[0]).toMatch(/^ending what an earlier run left: kafka, /)
    expect(running(orphans)).toEqual([])
    expect(await redis(stack.part('redis-state').port, 'GET kept')).toBe('$3\r\nyes')
    expect(await clickhouse(stack, 'SELECT a FROM kept')).toBe('7')
    expect(stack.endpoints.DATABASE_URL.split('@')[0]).toBe(attached.endpoints.DATABASE_URL.split('@')[0])
  })

  test('recovers a folder whose launcher was killed in the middle of its first start', async () => {
    const dataDir = await temporaryFolder()
    const fixture = fileURLToPath(new URL('fixture-stack-launcher.ts', import.meta.url))
    const launcher = spawn(process.execPath, [fixture, dataDir], { stdio: 'ignore' })
    onTestFinished(() => stackWipe(dataDir))
    await expect.poll(() => existsSync(layout.record(dataDir, 'redis-state')), { timeout: 10_000 }).toBe(true)
    launcher.kill('SIGKILL')
    await once(launcher, 'exit')
    expect(existsSync(layout.endpoints(dataDir))).toBe(false)
    await using stack = await startStack({ dataDir, ports: 'ephemeral' })
    expect(running(pidsOf(stack))).toHaveLength(partNames.length)
  })

  test('runs in the background, from a folder that PostgreSQL cannot reach, and is wiped whole', async () => {
    const home = await temporaryFolder(0o700)
    onTestFinished(() => rm(home, { recursive: true }))
    const dataDir = join(home, 'stack')
    const up = await stackUp({ dataDir, ports: 'ephemeral' })
    onTestFinished(() => stackWipe(dataDir))
    expect(stackState(up)).toBe('up')
    expect(up.launcherPid).toBeUndefined()
    const again = await stackUp({ dataDir, ports: 'ephemeral' })
    expect(again.parts).toEqual(up.parts)
    const { stackId } = JSON.parse(await readFile(layout.secrets(dataDir), 'utf8')) as { stackId: string }
    const outside = join('/var/lib/millrace', stackId)
    expect(existsSync(outside)).toBe(process.getuid?.() === 0)
    expect(await stackDown(dataDir)).toEqual([...partNames])
    expect(await stackDown(dataDir)).toEqual([])
    expect(running(up.parts.map(({ pid }) => pid ?? 0))).toEqual([])
    await stackWipe(dataDir)
    expect([existsSync(dataDir), existsSync(outside)]).toEqual([false, false])
  })
})
