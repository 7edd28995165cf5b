// The lifecycle is a promise about processes, so it is tested on processes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, it } from 'vitest'

const fixture = fileURLToPath(new URL('fixture-service.ts', import.meta.url))
const children: { kill(signal: 'SIGKILL'): boolean }[] = []
// At the very end, since some tests run side by side.
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** A request of which 8 bytes are missing. */
const postHead = 'POST /livez HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{}'
const cutMessage = 'connections are cut: their requests did not end'

interface Line {
  readonly msg: string
  readonly address?: string
  readonly alsoFailed?: readonly string[]
  readonly err?: { readonly message: string; readonly type: string }
}

function start(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [fixture], {
    env: { PATH: process.env['PATH'] ?? '', ROWS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  children.push(child)
  const lines: string[] = []
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const reader = createInterface(child.stdout)
  const started = new Promise<string>((resolve) => {
    reader.on('line', (line) => {
      lines.push(line)
      const parsed = line.startsWith('{') ? (JSON.parse(line) as Line) : undefined
      if (parsed?.msg === 'started') resolve(parsed.address ?? '')
    })
  })
  const exited = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null
  }))
  const logged = (msg: string): Line | undefined =>
    lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Line)
      .find((line) => line.msg === msg)
  const printed = (): string[] => lines.filter((line) => !line.startsWith('{'))
  return { child, started, exited, logged, printed, stderr: () => stderr }
}

function keepAliveAgent(): Agent & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

/** A connection that has been accepted; `using` ends it. */
async function connected(port: number): Promise<Socket & Disposable> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'connect')
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() })
}

/** GET /livez over the one connection of `agent`. */
async function get(agent: Agent, address: string): Promise<object> {
  const sent = request(`${address}/livez`, { agent })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'close')
  return { reused: sent.reusedSocket, status: response.statusCode, connection: response.headers.connection }
}

describe('runService', () => {
  it('lists every wrong setting at once and exits 1', async () => {
    const service = start({ ROWS: '0', PORT: 'http', LOG_LEVEL: 'loud' })
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.stderr().split('\n')[0]).toBe('fixture: 3 setting(s) are wrong:')
    for (const variable of ['ROWS', 'PORT', 'LOG_LEVEL']) expect(service.stderr()).toContain(`  ${variable}`)
  })

  it('answers health while up, and stops on SIGTERM: intake first, then resources in reverse order', async () => {
    const service = start({})
    const address = await service.started
    expect(await (await fetch(`${address}/readyz`)).json()).toEqual({ ready: true })
    expect(await (await fetch(`${address}/health`)).json()).toMatchObject({ status: 'healthy', checks: {} })
    service.child.kill('SIGTERM')
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(service.printed()).toEqual(['intake ended', 'disposed second', 'disposed first'])
  })

  it('answers once more on each open connection while it stops, and ends the connection with that', async () => {
    const service = start({})
    const address = await service.started
    using agent = keepAliveAgent()
    expect(await get(agent, address)).toEqual({ reused: false, status: 200, connection: 'keep-alive' })
    service.child.kill('SIGTERM')
    await expect.poll(() => service.printed()).toContain('intake ended')
    expect(await get(agent, address)).toEqual({ reused: true, status: 200, connection: 'close' })
    expect(await service.exited).toEqual({ code: 0, signal: null })
  })

  it('does not wait for a connection that rests', async () => {
    const service = start({ STOP_TIMEOUT_MS: '8s' })
    using agent = keepAliveAgent()
    await get(agent, await service.started)
    service.child.kill('SIGTERM')
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(service.logged(cutMessage)).toBeUndefined()
  })

  it.concurrent.each([
    ['asks nothing', '', '', false],
    ['never ends its first line', '', 'GET /livez HT', false],
    ['never ends its second request', 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n', 'GET /li', true],
    ['never ends a body', '', postHead, true]
  ])('has its resources closed whoever is connected, one that %s', async (_, whole, part, isCut) => {
    const service = start({ STOP_TIMEOUT_MS: '8s' })
    const { port } = new URL(await service.started)
    using socket = await connected(Number(port))
    if (whole !== '') {
      socket.write(whole)
      await once(socket, 'data')
    }
    if (part !== '') socket.write(part)
    await expect.poll(() => socket.bytesWritten).toBe(whole.length + part.length)
    const ended = once(socket, 'close')
    service.child.kill('SIGTERM')
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(service.printed()).toEqual(['intake ended', 'disposed second', 'disposed first'])
    expect(service.logged(cutMessage) !== undefined).toBe(isCut)
    await ended
  })

  it('answers a request that ends while it stops', async () => {
    const service = start({ STOP_TIMEOUT_MS: '20s' })
    const { port } = new URL(await service.started)
    using silent = await connected(Number(port))
    using socket = await connected(Number(port))
    socket.write(postHead)
    await expect.poll(() => socket.bytesWritten).toBe(postHead.length)
    const silentEnded = once(silent, 'close')
    service.child.kill('SIGTERM')
    // From here on whoever is connected is waited for.
    await silentEnded
    const answered = once(socket, 'data') as Promise<[Buffer]>
    socket.write(' '.repeat(8))
    const [answer] = await answered
    expect(answer.toString()).toMatch(/^HTTP\/1.1 404 /)
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(service.logged(cutMessage)).toBeUndefined()
  })

  it('says that it is not ready before it stops taking requests', async () => {
    const service = start({ DRAIN_DELAY_MS: '500' })
    const address = await service.started
    service.child.kill('SIGTERM')
    const notReady = async (): Promise<number> => (await fetch(`${address}/readyz`)).status
    await expect.poll(notReady, { interval: 10 }).toBe(503)
    expect(service.printed()).toEqual([])
    expect((await fetch(`${address}/livez`)).status).toBe(200)
    expect(await service.exited).toEqual({ code: 0, signal: null })
  })

  it('rolls a half start back in reverse order and exits 1', async () => {
    const service = start({ MODE: 'half-start' })
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.printed()).toEqual(['disposed second', 'disposed first'])
    expect(service.logged('failed')?.err).toMatchObject({ type: 'TypeError', message: 'cannot open third' })
  })

  it.each([
    ['ends', 'fixture ended by itself'],
    ['dies', 'loop died']
  ])('is never up with a dead loop: %s exits 1', async (mode, message) => {
    const service = start({ MODE: mode })
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.logged('failed')?.err?.message).toBe(message)
    expect(service.printed()).toContain('disposed first')
  })

  it('exits 1 without draining after an unhandled rejection', async () => {
    const service = start({ MODE: 'rejects' })
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.logged('uncaught error')?.err?.message).toBe('stray')
    expect(service.printed()).toEqual([])
  })

  it('exits 1 when a resource does not close in time', async () => {
    const service = start({ MODE: 'hangs', STOP_TIMEOUT_MS: '1s' })
    await service.started
    service.child.kill('SIGTERM')
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.logged('stop took too long')).toBeDefined()
  })

  it('exits at once on a second signal', async () => {
    const service = start({ MODE: 'hangs' })
    await service.started
    service.child.kill('SIGTERM')
    await expect.poll(() => service.logged('stopping')).toBeDefined()
    service.child.kill('SIGTERM')
    expect(await service.exited).toEqual({ code: 1, signal: null })
  })

  it('refuses faults and planted bugs outside a test', async () => {
    const service = start({ MILLRACE_PLANTED_BUG: 'commit-before-effect' })
    expect(await service.exited).toEqual({ code: 1, signal: null })
    expect(service.logged('failed')?.err?.message).toContain('MILLRACE_TEST=1')
  })
})
