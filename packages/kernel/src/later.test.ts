import { expect, it } from 'vitest'
import { later } from './later.ts'

it('opens once for all who ask, and again after a failure', async () => {
  const away = new Error('away')
  let opened = 0
  const get = later(async () => {
    opened++
    if (opened === 1) throw away
    return { opened }
  })
  expect(opened).toBe(0)
  expect(await Promise.allSettled([get(), get()])).toEqual([
    { status: 'rejected', reason: away },
    { status: 'rejected', reason: away }
  ])
  const [one, other] = await Promise.all([get(), get()])
  expect([one, other === one, await get(), opened]).toEqual([{ opened: 2 }, true, { opened: 2 }, 2])
})
