// Who and where: identity, sessions and pages, as they appear in events.
import { describe, expect, it } from 'vitest'
import { createClient } from './index.ts'
import type { ClientOptions } from './index.ts'
import { createFakePage, createManualRuntime, createMemoryStorage } from '../test/manual-runtime.ts'
import type { WireEvent } from '../test/manual-runtime.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function open(options: Partial<ClientOptions> = {}, page?: ReturnType<typeof createFakePage>) {
  const runtime = createManualRuntime()
  if (page !== undefined) runtime.page = page
  const client = createClient({ url: 'https://events.example', writeKey: 'mr_w_k', runtime, ...options })
  const take = async (): Promise<readonly WireEvent[]> => {
    void client.flush()
    await runtime.advance(0)
    return runtime.sent.splice(0).flatMap(({ events }) => events)
  }
  return { runtime, client, take }
}

const idsOf = ({ anonymousId, userId, sessionId }: WireEvent) => ({ anonymousId, userId, sessionId })

describe('a client that remembers', () => {
  it('adds one anonymous id and one session to all events, and the user once it is known', async () => {
    const { client, take } = open({ remember: true })
    void client.track('a')
    void client.identify('u1', { plan: 'pro' })
    void client.track('b')
    const [a, identify, b] = await take()
    expect(a).toMatchObject({ anonymousId: expect.stringMatching(uuid), sessionId: expect.stringMatching(uuid) })
    expect(a).not.toHaveProperty('userId')
    const { anonymousId, sessionId } = a ?? {}
    expect(identify).toMatchObject({
      eventType: 'identify',
      userId: 'u1',
      anonymousId,
      sessionId,
      properties: { plan: 'pro' }
    })
    expect(b).toMatchObject({ userId: 'u1', anonymousId, sessionId })
  })

  it('lets a call speak for somebody else, and takes undefined as not said', async () => {
    const { client, take } = open({ remember: true })
    void client.identify('u1')
    void client.track('a', {}, { userId: 'u2' })
    void client.track('b', {}, { userId: undefined })
    expect((await take()).map(({ userId }) => userId)).toEqual(['u1', 'u2', 'u1'])
  })

  it('forgets on reset: other ids, no user', async () => {
    const { client, take } = open({ remember: true })
    void client.identify('u1')
    const [before] = (await take()).map(idsOf)
    client.reset()
    void client.track('a')
    const [after] = (await take()).map(idsOf)
    expect(after?.userId).toBeUndefined()
    expect(after?.anonymousId).toMatch(uuid)
    expect(after?.anonymousId).not.toBe(before?.anonymousId)
    expect(after?.sessionId).not.toBe(before?.sessionId)
  })

  it('begins another session after half an hour without an event', async () => {
    const { client, runtime, take } = open({ remember: true })
    const sessions: (string | undefined)[] = []
    for (const waitMs of [0, 30 * 60_000, 30 * 60_000, 30 * 60_000 + 1]) {
      await runtime.advance(waitMs)
      void client.track('a')
      sessions.push((await take())[0]?.sessionId)
    }
    expect([sessions[1], sessions[2]]).toEqual([sessions[0], sessions[0]])
    expect(sessions[3]).not.toBe(sessions[0])
  })

  it('is the same person in the next client on the storage, and in another tab at once', async () => {
    const storage = createMemoryStorage()
    const first = open({ remember: true, storage })
    void first.client.track('a')
    const [a] = (await first.take()).map(idsOf)
    const second = open({ remember: true, storage })
    void second.client.identify('u1')
    void first.client.track('b')
    expect((await second.take()).map(idsOf)).toEqual([{ ...a, userId: 'u1' }])
    expect((await first.take()).map(idsOf)).toEqual([{ ...a, userId: 'u1' }])
  })

  it('identifies the person that another tab has made of it', async () => {
    const storage = createMemoryStorage()
    const [first, second] = [open({ remember: true, storage }), open({ remember: true, storage })]
    void first.client.track('a')
    void second.client.track('a')
    first.client.reset()
    void second.client.identify('u1')
    void first.client.track('b')
    const [, identify] = (await second.take()).map(idsOf)
    const [before, after] = (await first.take()).map(idsOf)
    expect(identify?.anonymousId).not.toBe(before?.anonymousId)
    expect(after).toEqual(identify)
  })

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"seenAt":"x"}',
    '{"seenAt":1,"anonymousId":7}',
    `{"seenAt":1,"anonymousId":"${'x'.repeat(256)}"}`
  ])('begins anew on storage that holds %s', async (text) => {
    const storage = createMemoryStorage({ 'millrace.identity': text })
    const { client, take } = open({ remember: true, storage })
    void client.track('a')
    expect((await take())[0]?.anonymousId).toMatch(uuid)
  })

  it('remembers in memory what storage does not take', async () => {
    const storage = createMemoryStorage()
    const first = open({ remember: true, storage })
    void first.client.track('a')
    const broken = {
      ...storage,
      setItem: () => {
        throw new Error('full')
      }
    }
    const { client, take } = open({ remember: true, storage: broken })
    void client.identify('u1')
    void client.track('b')
    expect((await take()).map(({ userId }) => userId)).toEqual(['u1', 'u1'])
  })
})

describe('a client that does not remember, as on a server', () => {
  it('adds nobody to an event, so that no two users are ever linked by it', async () => {
    const { client, take } = open()
    void client.identify('u1', { plan: 'pro' }, { anonymousId: 'a1' })
    void client.track('a')
    const [identify, a] = await take()
    expect(identify).toMatchObject({ eventType: 'identify', userId: 'u1', anonymousId: 'a1' })
    expect(idsOf(a ?? ({} as WireEvent))).toEqual({ anonymousId: undefined, userId: undefined, sessionId: undefined })
  })
})

describe('a page', () => {
  it('gives its events address, title, language and campaign, and makes the client remember', async () => {
    const { client, take } = open({}, createFakePage())
    void client.page('home', { section: 'top' })
    const [event] = await take()
    expect(event).toMatchObject({
      eventType: 'page_view',
      anonymousId: expect.stringMatching(uuid),
      properties: { name: 'home', section: 'top' },
      context: {
        page: {
          url: 'https://shop.example/a?utm_source=news&utm_campaign=spring',
          path: '/a',
          title: 'A shop',
          referrer: 'https://search.example/'
        },
        campaign: { source: 'news', name: 'spring' },
        locale: 'en-GB'
      }
    })
  })

  it('of an application that changes its address has the view before as its referrer', async () => {
    const page = createFakePage()
    const { client, take } = open({}, page)
    const visit = (address: string): void => {
      page.address = address
      void client.page()
    }
    visit('https://shop.example/a')
    visit('https://shop.example/b')
    visit('https://shop.example/b')
    void client.track('click')
    const referrers = (await take()).map(
      ({ context }) => (context?.['page'] as { referrer?: string } | undefined)?.referrer
    )
    expect(referrers).toEqual([
      'https://search.example/',
      'https://shop.example/a',
      'https://shop.example/a',
      'https://shop.example/a'
    ])
  })

  it('without referrer or campaign has none, and its context gives way to what the application says', async () => {
    const page = createFakePage()
    page.address = 'https://shop.example/a'
    page.referrer = ''
    const { client, take } = open({ context: { locale: 'fr' } }, page)
    void client.page()
    const [event] = await take()
    expect(event?.context).toMatchObject({ locale: 'fr' })
    expect(event?.context).not.toHaveProperty('campaign')
    expect(event?.context?.['page']).not.toHaveProperty('referrer')
    expect(event).not.toHaveProperty('properties')
  })
})
