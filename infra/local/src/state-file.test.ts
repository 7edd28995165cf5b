import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hasFields, readState, writeState } from './state-file.ts'

const isPoint = (value: unknown): value is { x: number } => hasFields(value, { x: 'number' })

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-state-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

test('a value is written whole, for this user only, and read back', async () => {
  const file = join(await folder(), 'deep', 'point.json')
  await writeState(file, { x: 1 })
  await writeState(file, { x: 2 })
  expect(readState(file, isPoint)).toEqual({ x: 2 })
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(file, '..'))).toEqual(['point.json'])
})

test.each(['', '{"x":', '{"x":"1"}', 'null', '[]'])('content %j is as good as no file', async (content) => {
  const file = join(await folder(), 'point.json')
  expect(readState(file, isPoint)).toBeUndefined()
  await writeFile(file, content)
  expect(readState(file, isPoint)).toBeUndefined()
})
