import { expect, test } from 'vitest'
import type { Postgres } from '@millrace/stores/postgres'
import { createProject } from './projects.ts'

test.each(['', 'Shop', '-shop', 'a'.repeat(40), 'shop_1', 'dlq', 'processed', 'overflow', 'shop.eu', 'shop\n'])(
  'the project id %j is refused before anything is touched',
  async (projectId) => {
    const touched: string[] = []
    const touch = async (what: string): Promise<never> => {
      touched.push(what)
      throw new Error('not reached')
    }
    const postgres: Postgres = {
      query: () => touch('query'),
      transaction: () => touch('transaction'),
      ping: () => touch('ping'),
      [Symbol.asyncDispose]: async () => undefined
    }
    const admin = { postgres, pepper: 'p', actor: 'test', ensureTopics: () => touch('topics') }
    await expect(createProject(admin, { projectId })).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    expect(touched).toEqual([])
  }
)
