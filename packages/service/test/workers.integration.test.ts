// A service of several processes, as its supervisor and its clients see it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import { onlyRestedTooLong, withoutStall } from '@millrace/testkit/without-stall'
import { describe, expect, it, onTestFinished } from 'vitest'

const fixture = fileURLToPath(new URL('fixture-workers.ts', import.meta.url))

interface Running {
  readonly url: string
  readonly pid: number
  readonly exited: Promise<number | null>
  /** Messages of the log, in order. */
  logged(): readonly string[]
}

/** Starts the fixture and resolves when every worker listens, or when it has ended. */
async function start(env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const child = spawn(process.execPath, [fixture], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines = (): { msg: string; address?: string }[] =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { msg: string; address?: string })
  const listening = (): string[] => lines().flatMap(({ address }) => address ?? [])
  await expect.poll(() => child.exitCode ?? listening().length, { timeout: 15_000 }).not.toBeLessThan(1)
  if (child.exitCode === null) {
    const wanted = Number(env['WORKERS'] ?? 2)
    await expect.poll(() => listening().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(wanted)
  }
  return { url: listening()[0] ?? '', pid: child.pid ?? 0, exited, logged: () => lines().map(({ msg }) => msg) }
}

async function pids({ url }: Running): Promise<number[]> {
  const signal = AbortSignal.timeout(5_000)
  const response = await fetch(`${url}/pids`, { headers: { connection: 'close' }, signal })
  return ((await response.json()) as number[]).toSorted()
}

/** GET /work over a connection of `agent`: the process that answered, or the code of the error. */
async function work(agent: Agent, url: string): Promise<string> {
  const sent = request(`${url}/work`, { agent, signal: AbortSignal.timeout(10_000) })
  sent.end()
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return String(response.statusCode)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    return code === 'ABORT_ERR' ? 'no answer' : code
  }
}

/** Sends on 32 kept connections until `until` holds or nobody listens; counts the outcomes. */
function sendMany(url: string, until: () => boolean): { outcomes: Map<string, number>; ended: Promise<unknown> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  onTestFinished(() => agent.destroy())
  const outcomes = new Map<string, number>()
  const sender = async (): Promise<void> => {
    for (let outcome = ''; outcome !== 'ECONNREFUSED' && !until();) {
      outcome = await work(agent, url)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
  }
  return { outcomes, ended: Promise.all(Array.from({ length: 32 }, sender)) }
}

describe('a service with several processes', () => {
  it('answers for all of them, whichever gets the request', async () => {
    const running = await start({ WORKERS: '3' })
    expect(await pids(running)).toHaveLength(3)
    expect(await pids(running)).not.toContain(running.pid)
    const agent = new Agent({ keepAlive: false })
    expect(await Promise.all(Array.from({ length: 9 }, () => work(agent, running.url)))).toEqual(Array(9).fill('200'))
    const metrics = await (await fetch(`${running.url}/metrics`)).text()
    expect(metrics).toMatch(/^analytics_fixture_requests_total 9$/m)
    expect(metrics).toMatch(/^analytics_fixture_highest 1$/m)
    expect(metrics).toMatch(/^analytics_worker_restarts_total 0$/m)
    const health = (await (await fetch(`${running.url}/health`)).json()) as object
    expect(health).toMatchObject({ status: 'healthy', checks: { store: 'ok' } })
  })

  it('replaces a worker that is killed under load; its clients see broken connections, and none that stays silent', async () => {
    const running = await start()
    const before = await pids(running)
    let stop = false
    const { outcomes, ended } = sendMany(running.url, () => stop)
    await expect.poll(() => outcomes.get('200') ?? 0).toBeGreaterThan(100)
    process.kill(before[0]!, 'SIGKILL')
    const isReplaced = async (): Promise<boolean> => {
      const now = await pids(running).catch((): number[] => [])
      return now.length === 2 && now.includes(before[1]!) && !now.includes(before[0]!)
    }
    await expect.poll(isReplaced, { timeout: 30_000 }).toBe(true)
    stop = true
    await ended
    expect([...outcomes.keys()].filter((outcome) => !['200', 'ECONNRESET', 'EPIPE'].includes(outcome))).toEqual([])
    expect(await (await fetch(`${running.url}/metrics`)).text()).toMatch(/^analytics_worker_restarts_total 1$/m)
  })

  it('drains all of them at SIGTERM to its one process, and ends with 0', async () => {
    // Connections are kept for a second, in which each of them is expected to be used.
    const explained = (seen: Record<string, number>): boolean => onlyRestedTooLong(seen, ['200', 'ECONNREFUSED'])
    const seen = await withoutStall({ limitMs: 900, explained }, async () => {
      const running = await start()
      const { outcomes, ended } = sendMany(running.url, () => false)
      await expect.poll(() => outcomes.get('200') ?? 0).toBeGreaterThan(200)
      process.kill(running.pid, 'SIGTERM')
      expect(await running.exited).toBe(0)
      await ended
      expect(running.logged().filter((msg) => msg === 'stopped')).toHaveLength(2)
      return Object.fromEntries(outcomes)
    })
    expect(seen).toEqual({ 200: expect.any(Number) as number, ECONNREFUSED: 32 })
  })

  it('leaves no worker behind when its one process is killed', async () => {
    const running = await start()
    const workers = await pids(running)
    process.kill(running.pid, 'SIGKILL')
    await expect.poll(() => workers.filter(isAlive)).toEqual([])
  })

  it('does not share a port with another service, though its workers share it', async () => {
    const running = await start()
    const other = await start({ PORT: new URL(running.url).port })
    expect(await other.exited).toBe(1)
    expect(await pids(running)).toHaveLength(2)
  })

  it('exits 1 when workers cannot start', async () => {
    const running = await start({ MODE: 'fails' })
    expect(await running.exited).toBe(1)
    expect(running.logged()).toContain('worker did not start')
  })

  it('ends workers that do not stop in time, and exits 1', async () => {
    const running = await start({ MODE: 'hangs', STOP_TIMEOUT_MS: '1s' })
    const workers = await pids(running)
    process.kill(running.pid, 'SIGTERM')
    expect(await running.exited).toBe(1)
    expect(workers.filter(isAlive)).toEqual([])
  })

  it('ends at once at a second signal', async () => {
    const running = await start({ MODE: 'hangs' })
    const workers = await pids(running)
    process.kill(running.pid, 'SIGTERM')
    await expect.poll(running.logged).toContain('stopping workers')
    process.kill(running.pid, 'SIGTERM')
    expect(await running.exited).toBe(1)
    await expect.poll(() => workers.filter(isAlive)).toEqual([])
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
