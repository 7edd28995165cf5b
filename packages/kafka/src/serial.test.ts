// Order and end of handler calls.
import { expect, test } from 'vitest'
import { createSerial } from './serial.ts'

test('tasks run in order and never overlap, whatever they take', async () => {
  const serial = createSerial()
  const { promise, resolve } = Promise.withResolvers<void>()
  const log: string[] = []
  const first = serial.run(async () => {
    log.push('first begins')
    await promise
    log.push('first ends')
    return 1
  })
  const second = serial.run(() => void log.push('second'))
  await Promise.resolve()
  resolve()
  await second
  expect(await first).toBe(1)
  expect(log).toEqual(['first begins', 'first ends', 'second'])
})

test('a task that throws rejects alone', async () => {
  const serial = createSerial()
  await expect(serial.run(() => Promise.reject(new Error('x')))).rejects.toThrow('x')
  expect(await serial.run(() => 2)).toBe(2)
})

test('no task starts after close, those that wait included', async () => {
  const serial = createSerial()
  const { promise, resolve } = Promise.withResolvers<void>()
  const running = serial.run(() => promise)
  const waiting = serial.run(() => 'ran')
  serial.close()
  resolve()
  await running
  expect(await waiting).toBeUndefined()
  expect(await serial.run(() => 'ran')).toBeUndefined()
})
