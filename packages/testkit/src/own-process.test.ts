import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startOwnProcess } from './own-process.ts'

const silent = { name: 'a program', answers: async () => false }

test('a program that ends before it answers, or is not there, is told at once, and leaves nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-own-'))
  const startedAt = performance.now()
  const ending = startOwnProcess({ ...silent, folder, command: [process.execPath, '-e', ''] })
  await expect(ending).rejects.toThrow('a program ended before it answered')
  expect(existsSync(folder)).toBe(false)
  const missing = startOwnProcess({ ...silent, command: ['no-such-program-of-millrace'] })
  await expect(missing).rejects.toMatchObject({ cause: { code: 'ENOENT' } })
  expect(performance.now() - startedAt).toBeLessThan(8_000)
})

test('a program that answers runs until it is disposed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-own-'))
  const command = [process.execPath, '-e', 'setInterval(() => {}, 1_000)']
  {
    await using own = await startOwnProcess({ name: 'a program', folder, command, answers: async () => true })
    own.send('SIGSTOP')
    own.send('SIGCONT')
    expect(existsSync(folder)).toBe(true)
  }
  expect(existsSync(folder)).toBe(false)
})
