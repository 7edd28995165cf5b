import { describe, expect, test } from 'vitest'
import { createGuardedPost } from './guarded-post.ts'
import type { GuardedPostOptions, PostTarget } from './guarded-post.ts'
import { createAddressGuard } from './outside-address.ts'

function open(options: Partial<GuardedPostOptions> = {}) {
  const sent: PostTarget[] = []
  const asked: string[] = []
  const post = createGuardedPost({
    hosts: ['hooks.example', '9.9.9.9', '127.0.0.1'],
    guard: createAddressGuard([]),
    timeoutMs: 1_000,
    ...options,
    resolve: async (host) => {
      asked.push(host)
      return (await options.resolve?.(host)) ?? ['9.9.9.9']
    },
    send: async (target) => {
      sent.push(target)
      return (await options.send?.(target)) ?? 200
    }
  })
  return { post, sent, asked }
}

describe('a guarded post', () => {
  test('goes to the address that the name was checked with, whatever the name says a moment later', async () => {
    const answers = [['9.9.9.9'], ['127.0.0.1']]
    const { post, sent, asked } = open({ resolve: async () => answers.shift() ?? [] })
    await post('https://hooks.example/x?y=1', '{}')
    expect(asked).toEqual(['hooks.example'])
    expect(sent.map(({ address, url }) => [address, url.href])).toEqual([['9.9.9.9', 'https://hooks.example/x?y=1']])
    // The rebound name is refused when it is asked for the next time.
    await expect(post('https://hooks.example/x', '{}')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    expect(sent).toHaveLength(1)
  })

  test('is not made when one of several addresses lies inside', async () => {
    const { post, sent } = open({ resolve: async () => ['9.9.9.9', '169.254.169.254'] })
    await expect(post('https://hooks.example/', '{}')).rejects.toThrow(/169\.254\.169\.254/)
    expect(sent).toEqual([])
  })

  test.each([
    ['a host that is not on the list', 'https://other.example/'],
    ['a host that only begins like one', 'https://hooks.example.other.example/'],
    ['another protocol', 'file:///etc/passwd'],
    ['a user in the address', 'https://hooks.example@other.example/'],
    ['a password in the address', 'https://me:secret@hooks.example/'],
    ['an address inside', 'http://127.0.0.1:6379/'],
    ['an address inside in another writing', 'http://2130706433/'],
    ['no URL', 'hooks.example']
  ])('is not made to %s', async (_what, url) => {
    const { post, sent } = open()
    await expect(post(url, '{}')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    expect(sent).toEqual([])
  })

  test('reaches an address that the operator allows', async () => {
    const { post, sent } = open({ guard: createAddressGuard(['127.0.0.0/8']) })
    await post('http://127.0.0.1:9093/alerts', '{}')
    expect(sent[0]?.address).toBe('127.0.0.1')
  })

  test.each([
    [302, /redirects are not followed/],
    [307, /redirects are not followed/],
    [404, /answered 404/],
    [500, /answered 500/]
  ])('fails on the answer %i', async (status, text) => {
    const { post } = open({ send: async () => status })
    const failure = await post('https://hooks.example/', '{}').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'PIPE_DELIVERY', message: expect.stringMatching(text) })
  })

  test('fails, to be tried again, when the name or the host does not answer', async () => {
    const broken = async () => {
      throw new Error('ECONNREFUSED')
    }
    for (const options of [{ resolve: broken }, { send: broken }, { resolve: async () => [] }])
      await expect(open(options).post('https://hooks.example/', '{}')).rejects.toMatchObject({ code: 'PIPE_DELIVERY' })
  })
})
