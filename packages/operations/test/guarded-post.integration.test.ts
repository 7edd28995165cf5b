// The way of a guarded post over a real connection: where it goes, what it says there, and what it does not follow.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGuardedPost } from '@millrace/operations/guarded-post'
import { createAddressGuard } from '@millrace/operations/outside-address'
import { expect, onTestFinished, test } from 'vitest'

/** A receiver on 127.0.0.1 that answers with `status`, and a post to it under the name `hooks.example`. */
async function open(status: number, location?: string) {
  const seen: { host: string | undefined; body: string }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      seen.push({ host: request.headers.host, body: Buffer.concat(chunks).toString() })
      response.writeHead(status, location === undefined ? {} : { location }).end('x'.repeat(100_000))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const asked: string[] = []
  const post = createGuardedPost({
    hosts: ['hooks.example'],
    guard: createAddressGuard(['127.0.0.1']),
    timeoutMs: 2_000,
    resolve: async (host) => {
      asked.push(host)
      return ['127.0.0.1']
    }
  })
  return { post, seen, asked, url: `http://hooks.example:${port}/alerts` }
}

test('connects to the address that was checked, under the name that was configured', async () => {
  const { post, seen, asked, url } = await open(204)
  await post(url, '{"text":"größe"}')
  expect(seen).toEqual([{ host: new URL(url).host, body: '{"text":"größe"}' }])
  expect(asked).toEqual(['hooks.example'])
})

test('does not follow a redirect', async () => {
  const inside = await open(200)
  const { post, url } = await open(307, inside.url)
  await expect(post(url, '{}')).rejects.toMatchObject({ code: 'PIPE_DELIVERY' })
  expect(inside.seen).toEqual([])
})

test('gives a receiver that does not answer up', async () => {
  const server = createServer(() => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const post = createGuardedPost({ hosts: ['127.0.0.1'], guard: createAddressGuard(['127.0.0.0/8']), timeoutMs: 200 })
  const { port } = server.address() as AddressInfo
  await expect(post(`http://127.0.0.1:${port}/`, '{}')).rejects.toMatchObject({ code: 'PIPE_DELIVERY' })
})
