import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { layout } from './layout.ts'
import { recordOf } from './process-record.ts'
import { lockHolder, takeLock } from './stack-lock.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-lock-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

test('a held folder is refused with the pid of its holder, and is free after the release', async () => {
  const dataDir = await folder()
  const lock = await takeLock(dataDir)
  expect(lockHolder(dataDir)?.pid).toBe(process.pid)
  await expect(takeLock(dataDir)).rejects.toThrow(`is run by process ${process.pid}`)
  expect(lockHolder(dataDir)?.pid).toBe(process.pid)
  await lock[Symbol.asyncDispose]()
  expect(await readdir(dataDir)).toEqual([])
  await using _again = await takeLock(dataDir)
  expect(existsSync(layout.lock(dataDir))).toBe(true)
})

test.each([
  ['of a dead holder', JSON.stringify({ pid: process.pid, startedAt: '1' })],
  ['that is no lock of ours', '{"pid'],
  ['that is empty', '']
])('a file %s is taken over', async (_case, content) => {
  const dataDir = await folder()
  await writeFile(layout.lock(dataDir), content)
  await using _lock = await takeLock(dataDir)
  expect(lockHolder(dataDir)).toEqual(recordOf(process.pid))
})

test('of many that take over a dead lock at once exactly one holds the folder', async () => {
  const dataDir = await folder()
  await writeFile(layout.lock(dataDir), JSON.stringify({ pid: process.pid, startedAt: '1' }))
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(dataDir)))
  const refused = tries.filter((each) => each.status === 'rejected').map(({ reason }) => String(reason))
  expect(refused).toHaveLength(7)
  for (const reason of refused) expect(reason).toContain('is run by process')
})
