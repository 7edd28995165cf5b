import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSpool, removeLeftSpools } from './reconcile-spool.ts'

async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-spool-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('gives back the lines of a class in their order, both sides in the same class, and leaves nothing', async () => {
  const folder = await openFolder()
  const lines = Array.from({ length: 2_000 }, (_, index) => `key ${index % 50} ${'x'.repeat(20)} ${index}`)
  {
    await using spool = await openSpool({ folder, classes: 3, maxBytes: Infinity })
    for (const [index, line] of lines.entries()) {
      spool.add('log', `key ${index % 50}`, line)
      if (index < 50) spool.add('there', `key ${index}`, `key ${index}`)
    }
    const found: string[] = []
    for (let index = 0; index < spool.classes; index++) {
      const own = spool.read('log', index)
      found.push(...own)
      const there = new Set(spool.read('there', index))
      expect(own.every((line) => there.has(line.split(' ').slice(0, 2).join(' ')))).toBe(true)
      const numbers = own.map((line) => Number(line.split(' ').at(-1)))
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
    expect(found.toSorted()).toEqual(lines.toSorted())
  }
  expect(await readdir(folder)).toEqual([])
})

test('takes no more bytes than it may, and a folder that is not there is a broken disk', async () => {
  const folder = await openFolder()
  await using spool = await openSpool({ folder, classes: 1, maxBytes: 10 })
  spool.add('log', 'a', '1234')
  spool.add('there', 'a', '1234')
  expect(() => spool.add('log', 'b', '')).toThrow(expect.objectContaining({ code: 'PIPE_INVALID_INPUT' }))
  await expect(openSpool({ folder: join(folder, 'no'), classes: 1, maxBytes: 10 })).rejects.toMatchObject({
    code: 'PIPE_SPOOL_UNAVAILABLE'
  })
})

test('what killed processes left is removed, and nothing of a process that runs or of anybody else', async () => {
  const folder = await openFolder()
  const names = [`millrace-reconcile-${process.pid}-a`, 'millrace-reconcile-4194305-b', 'millrace-reconcile-Xc0ffe']
  const kept = [`millrace-reconcile-${process.ppid}-d`, 'somebody']
  for (const name of [...names, ...kept]) await mkdir(join(folder, name, 'in'), { recursive: true })
  await removeLeftSpools(folder)
  expect((await readdir(folder)).toSorted()).toEqual(kept)
  await removeLeftSpools(join(folder, 'no'))
})
