// Who may be told to go on, and how a worker hears of it.
import { expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { resumeGroup } from './group-resumes.ts'
import { createReplayDesk } from './replay-orders.ts'

function open() {
  const said: string[] = []
  const away = new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer')
  const query = async (sql: string, values: readonly unknown[] = []): Promise<readonly object[]> => {
    if (sql.includes('FROM replays')) throw away
    if (sql.startsWith('INSERT INTO group_resumes')) said.push(String(values[0]))
    return sql.startsWith('SELECT (extract') && said.includes(String(values[0])) ? [{ ms: 1_500 }] : []
  }
  const transaction = async (work: (tx: { query: typeof query }) => unknown) => await work({ query })
  // What the procedure asks of a database.
  const postgres = { query, transaction } as unknown as Postgres
  const admin = { listTopics: async () => ['events.shop', 'redrive.load'] }
  return { said, away, deps: { postgres, admin, actor: 'test:me', countingGroups: ['aggregate'] } }
}

it('tells groups with a redrive topic, and those that count, and names them for any other', async () => {
  const { said, deps } = open()
  for (const group of ['load', 'aggregate']) await resumeGroup(deps, group)
  expect(said).toEqual(['load', 'aggregate'])
  await expect(resumeGroup(deps, 'archive')).rejects.toThrow(
    "'archive' is no group that can be told: one of load, aggregate"
  )
})

it('answers how long ago it was while nothing else is known', async () => {
  const { deps, away } = open()
  const asked = { groupOffsets: () => Promise.reject(away), ranges: () => Promise.reject(away) }
  const desk = createReplayDesk({ ...deps, admin: asked, group: 'load', belongs: () => true })
  expect(await desk.resumedAgoMs()).toBeUndefined()
  await resumeGroup(deps, 'load')
  expect(await desk.resumedAgoMs()).toBe(1_500)
  await expect(desk.orders()).rejects.toBe(away)
})
