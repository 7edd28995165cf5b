import { describe, expect, it } from 'vitest'
import { createClient } from './index.ts'
import type { ClientOptions } from './index.ts'
import { createFakePage, createManualRuntime } from '../test/manual-runtime.ts'

function create(options: Partial<ClientOptions>, page?: ReturnType<typeof createFakePage>) {
  const runtime = createManualRuntime()
  if (page !== undefined) runtime.page = page
  return { runtime, client: createClient({ url: 'https://events.example', writeKey: 'mr_w_k', runtime, ...options }) }
}

describe('createClient', () => {
  it.each([
    [{ url: 'events.example' }, 'url'],
    [{ url: '' }, 'url'],
    [{ writeKey: '' }, 'writeKey'],
    [{ flushAfterMs: -1 }, 'flushAfterMs'],
    [{ flushAfterMs: Number.NaN }, 'flushAfterMs'],
    [{ maxBatchEvents: 1_001 }, 'maxBatchEvents: 1 to 1000'],
    [{ maxBatchEvents: 0 }, 'maxBatchEvents'],
    [{ maxBatchBytes: 5 * 1024 * 1024 }, 'maxBatchBytes'],
    [{ retries: -1 }, 'retries'],
    [{ requestTimeoutMs: 2 ** 31 }, 'requestTimeoutMs']
  ])('refuses %j at once and names the option', (options, message) => {
    expect(() => create(options)).toThrow(message)
  })

  it('refuses a secret key in a page, and takes it on a server', () => {
    expect(() => create({ writeKey: 'mr_s_k' }, createFakePage())).toThrow('secret')
    expect(() => create({ writeKey: 'mr_s_k' })).not.toThrow()
  })

  it('keeps a path in front of the gateway and drops slashes at the end', async () => {
    const { client, runtime } = create({ url: 'http://127.0.0.1:4001/ingest//' })
    void client.track('x')
    await runtime.advance(500)
    expect(runtime.sent[0]?.url).toBe('http://127.0.0.1:4001/ingest/v1/events')
  })
})
