import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import type { HotWindow } from './hot-keys.ts'
import { addAdminRoutes } from './admin-routes.ts'

const token = 'mr_a_secret'

describe('GET /admin/hot-keys', () => {
  const view = { total: 9, unseen: 0, keys: [1, 2, 3].map((at) => ({ key: `k${at}`, count: 4 - at, error: 0 })) }
  const windowOf = (projectId: string): HotWindow => ({
    startedAt: '2026-01-01T00:00:00.000Z',
    complete: true,
    eventsBeyond: 0,
    projects: [{ projectId, eventTypes: view, users: view, anonymous: view }]
  })
  const open = (adminToken = token) => {
    const app = fastify()
    addAdminRoutes(app, { adminToken, hotWindows: async () => [[windowOf('shop')], [windowOf('other')]] })
    return app
  }

  it('shows the windows of all processes, or those of one project, and as many keys as asked for', async () => {
    const app = open()
    const get = async (query: string) =>
      (await app.inject({ url: `/admin/hot-keys${query}`, headers: { authorization: `Bearer ${token}` } })).json<{
        windowMs: number
        windows: HotWindow[]
      }>()
    const all = await get('')
    expect(all.windowMs).toBe(10_000)
    expect(all.windows[0]?.projects.map(({ projectId }) => projectId).toSorted()).toEqual(['other', 'shop'])
    const [window] = (await get('?project=shop&top=1')).windows
    expect(window?.projects.map(({ projectId, users }) => [projectId, users.keys])).toEqual([
      ['shop', [{ key: 'k1', count: 3, error: 0 }]]
    ])
  })

  it.each([undefined, 'Bearer wrong'])('answers 401 to %j', async (authorization) => {
    const response = await open().inject({ url: '/admin/hot-keys', headers: authorization ? { authorization } : {} })
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([401, 'unauthorized'])
  })

  it('is not there without a token', async () => {
    const response = await open('').inject({ url: '/admin/hot-keys', headers: { authorization: 'Bearer ' } })
    expect(response.statusCode).toBe(404)
  })
})
