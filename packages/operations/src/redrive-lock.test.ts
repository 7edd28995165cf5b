import { expect, test } from 'vitest'
import { AppError } from '@millrace/kernel'
import { createRedriveLock } from './redrive-lock.ts'

test('holds the lock of the project while the work runs', async () => {
  const asked: unknown[] = []
  const lock = createRedriveLock('postgres://direct/app', async (url, key, work) => {
    asked.push(url, key)
    return await work({ query: async () => [] })
  })
  const done = await lock('shop', async (assertHeld) => {
    assertHeld()
    return 'sent'
  })
  expect([done, asked]).toEqual(['sent', ['postgres://direct/app', 'millrace:redrive:shop']])
})

test('a lock that somebody else has is a conflict, and a deadline of the work itself stays one', async () => {
  const taken = createRedriveLock('', async () => {
    throw new AppError('PIPE_DEADLINE', 'not free within 100 ms')
  })
  await expect(taken('shop', async () => 'never')).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  const free = createRedriveLock('', async (_url, _key, work) => await work({ query: async () => [] }))
  const silent = async (): Promise<never> => {
    throw new AppError('PIPE_DEADLINE', 'the log is silent')
  }
  await expect(free('shop', silent)).rejects.toMatchObject({ code: 'PIPE_DEADLINE' })
})

test('work whose lock broke hears of it at its next step', async () => {
  const gate = Promise.withResolvers<void>()
  const lock = createRedriveLock('', async (_url, _key, work) => {
    const broken = new AppError('PIPE_POSTGRES_UNAVAILABLE', 'the connection broke')
    return await Promise.race([work({ query: async () => [] }), Promise.reject(broken)])
  })
  let step: Promise<void> | undefined
  const work = (assertHeld: () => void): Promise<void> => {
    step = gate.promise.then(assertHeld)
    return step
  }
  await expect(lock('shop', work)).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
  gate.resolve()
  await expect(step).rejects.toMatchObject({ message: expect.stringContaining("of 'shop' is lost") })
})
