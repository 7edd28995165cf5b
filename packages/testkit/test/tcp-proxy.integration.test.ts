// Each fault over real loopback sockets, against a server that answers every line with its echo.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import { failOnLeaks } from '@millrace/testkit/leaks'
import { httpRequest } from '@millrace/testkit/faults/proxy-rules'
import { openTcpProxy } from '@millrace/testkit/faults/tcp-proxy'

failOnLeaks()
const closers: (() => PromiseLike<unknown> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** A server that echoes and remembers what it read; `ended` counts streams the other side closed. */
async function openEcho() {
  const state = { read: '', ended: 0 }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      state.read += chunk.toString()
      socket.write(chunk)
    })
    socket.on('end', () => {
      state.ended++
      socket.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { state, target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } }
}

function dial(port: number) {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const state = { read: Buffer.alloc(0), ended: false, error: '' }
  socket.on('data', (chunk: Buffer) => (state.read = Buffer.concat([state.read, chunk])))
  socket.on('end', () => (state.ended = true))
  socket.on('error', (error: NodeJS.ErrnoException) => (state.error = error.code ?? ''))
  closers.push(() => void socket.destroy())
  return { socket, state, text: () => state.read.toString() }
}

async function open() {
  const echo = await openEcho()
  const proxy = await openTcpProxy({ target: echo.target })
  closers.push(() => proxy[Symbol.asyncDispose]())
  return { echo, proxy, client: dial(proxy.port) }
}

describe('the TCP fault proxy', () => {
  it('passes bytes both ways and counts them', async () => {
    const { proxy, client } = await open()
    client.socket.write('hello')
    await eventually('the echo', () => client.text() === 'hello')
    expect(proxy.counts()).toMatchObject({ connections: 1, open: 1, bytesUp: 5, bytesDown: 5, upstreamFailures: 0 })
    client.socket.end()
    await eventually('the end', () => client.state.ended)
    await eventually('the connection to be forgotten', () => proxy.counts().open === 0)
  })

  it('carries several megabytes unharmed', async () => {
    const { client } = await open()
    const sent = Buffer.alloc(6 * 1024 * 1024, 'abcdefghijklm')
    client.socket.write(sent)
    await eventually('all bytes', () => client.state.read.length === sent.length)
    expect(client.state.read.equals(sent)).toBe(true)
  })

  it('delays bytes, overlapping those in flight', async () => {
    const { proxy, client } = await open()
    const rule = proxy.add({ kind: 'latency', direction: 'up', ms: 300 })
    const started = performance.now()
    for (const [index, letter] of 'abcdefgh'.split('').entries()) {
      client.socket.write(letter)
      await eventually(`${letter} to be in flight`, () => proxy.counts().bytesUp === index + 1, { intervalMs: 1 })
    }
    await eventually('the echo', () => client.text() === 'abcdefgh', { intervalMs: 5 })
    const tookMs = performance.now() - started
    expect(tookMs).toBeGreaterThan(295)
    // One after the other they would take 2.4 s.
    expect(tookMs).toBeLessThan(2_000)
    expect(rule.acted()).toBe(8)
  })

  it('limits bandwidth across chunks', async () => {
    const { proxy, client } = await open()
    proxy.add({ kind: 'bandwidth', direction: 'down', bytesPerSecond: 1024 * 1024 })
    const started = performance.now()
    client.socket.write(Buffer.alloc(300 * 1024))
    await eventually('all bytes', () => client.state.read.length === 300 * 1024, { intervalMs: 5 })
    expect(performance.now() - started).toBeGreaterThan(280)
  })

  it('holds bytes in a black hole and delivers them when it is lifted', async () => {
    const { echo, proxy, client } = await open()
    const rule = proxy.add({ kind: 'blackhole', direction: 'up' })
    client.socket.write('held')
    await eventually('the hole to act', () => rule.acted() === 1)
    expect(echo.state.read).toBe('')
    rule[Symbol.dispose]()
    await eventually('the echo', () => client.text() === 'held')
  })

  it('refuses connections, and lets them in again when lifted', async () => {
    const { proxy, client } = await open()
    client.socket.write('x')
    await eventually('the echo', () => client.text() === 'x')
    const rule = proxy.add({ kind: 'refuse' })
    const refused = dial(proxy.port)
    await eventually('the reset', () => refused.state.error === 'ECONNRESET')
    rule[Symbol.dispose]()
    const welcome = dial(proxy.port)
    welcome.socket.write('x')
    await eventually('the echo', () => welcome.text() === 'x')
    expect(proxy.counts().acted.refuse).toBe(1)
  })

  it('eats the reply of a matching request after the server acted on it, once', async () => {
    const { echo, proxy, client } = await open()
    const rule = proxy.add({ kind: 'eat-reply', when: httpRequest('POST', '/insert'), times: 1 })
    client.socket.write('GET /ping;')
    await eventually('the first echo', () => client.text() === 'GET /ping;')
    client.socket.write('POST /insert;')
    await eventually('the reset', () => client.state.error === 'ECONNRESET')
    expect(client.text()).toBe('GET /ping;')
    expect(echo.state.read).toBe('GET /ping;POST /insert;')
    expect(rule.acted()).toBe(1)
    const again = dial(proxy.port)
    again.socket.write('POST /insert;')
    await eventually('the second echo', () => again.text() === 'POST /insert;')
  })

  it('changes the reply to a matching request, once, and no other', async () => {
    const { echo, proxy, client } = await open()
    const rule = proxy.add({
      kind: 'change-reply',
      when: httpRequest('POST', '/insert'),
      change: (reply) => (reply.includes('insert') ? Buffer.from('something else') : undefined),
      times: 1
    })
    client.socket.write('POST /insert;')
    await eventually('the other reply', () => client.text() === 'something else')
    expect(echo.state.read).toBe('POST /insert;')
    client.socket.write('POST /insert;')
    await eventually('the echo', () => client.text() === 'something elsePOST /insert;')
    expect(rule.acted()).toBe(1)
  })

  it('cuts a connection after exactly the bytes asked for', async () => {
    const { echo, proxy, client } = await open()
    proxy.add({ kind: 'cut', direction: 'up', afterBytes: 6, times: 1 })
    client.socket.write('1234')
    await eventually('the echo', () => client.text() === '1234')
    client.socket.write('56789')
    await eventually('the reset', () => client.state.error === 'ECONNRESET')
    await eventually('the rest at the server', () => echo.state.read === '123456')
    expect(proxy.counts().acted.cut).toBe(1)
  })

  it('turns what follows into noise of the same length', async () => {
    const { echo, proxy, client } = await open()
    proxy.add({ kind: 'garbage', direction: 'down', afterBytes: 4 })
    client.socket.write('12345678')
    await eventually('the echo', () => client.state.read.length === 8)
    expect(client.text().slice(0, 4)).toBe('1234')
    expect(client.text().slice(4)).not.toBe('5678')
    expect(echo.state.read).toBe('12345678')
  })

  it('closes one direction and leaves the other open', async () => {
    const { echo, proxy, client } = await open()
    proxy.add({ kind: 'half-close', direction: 'up', afterBytes: 3, times: 1 })
    client.socket.write('1234')
    await eventually('the end at the server', () => echo.state.ended === 1)
    await eventually('the echo of what went through', () => client.text() === '123')
    expect(client.state.error).toBe('')
  })

  it('resets every open connection on demand', async () => {
    const { proxy, client } = await open()
    client.socket.write('x')
    await eventually('the echo', () => client.text() === 'x')
    expect(proxy.resetAll()).toBe(1)
    await eventually('the reset', () => client.state.error === 'ECONNRESET')
  })

  it('resets the client when the server is not there', async () => {
    const { echo } = await open()
    const proxy = await openTcpProxy({ target: { host: '127.0.0.1', port: 1 } })
    closers.push(() => proxy[Symbol.asyncDispose]())
    const client = dial(proxy.port)
    await eventually('the reset', () => client.state.error === 'ECONNRESET')
    expect(proxy.counts().upstreamFailures).toBe(1)
    expect(echo.state.read).toBe('')
  })
})
