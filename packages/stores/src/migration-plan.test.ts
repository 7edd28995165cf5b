import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { planMigrations, readMigrations } from './migration-plan.ts'

async function folderWith(files: Readonly<Record<string, string>>): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-migrations-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return pathToFileURL(`${folder}/`)
}

const three = { '0001_a.sql': 'A', '0002_b.sql': 'B', '0003_c.sql': 'C' }

describe('readMigrations', () => {
  it('gives files in the order of their numbers, with equal checksums for both kinds of line ends', async () => {
    const unix = await readMigrations(await folderWith({ ...three, '0001_a.sql': 'A\nB', 'notes.md': 'x' }))
    const windows = await readMigrations(await folderWith({ ...three, '0001_a.sql': 'A\r\nB' }))
    expect(unix.map(({ number, name }) => [number, name])).toEqual([
      [1, '0001_a.sql'],
      [2, '0002_b.sql'],
      [3, '0003_c.sql']
    ])
    expect(windows.map(({ checksum }) => checksum)).toEqual(unix.map(({ checksum }) => checksum))
  })

  it.each([
    ['a gap', { '0001_a.sql': '', '0003_c.sql': '' }, '0003_c.sql'],
    ['a number used twice', { '0001_a.sql': '', '0001_b.sql': '' }, '0001_b.sql'],
    ['a name of another form', { '0001_a.sql': '', 'later.sql': '' }, 'later.sql']
  ])('names the file of %s', async (_what, files, name) => {
    await expect(readMigrations(await folderWith(files))).rejects.toMatchObject({
      code: 'PIPE_MIGRATION_DRIFT',
      details: { migration: name }
    })
  })
})

describe('planMigrations', () => {
  it('gives what is not applied yet', async () => {
    const files = await readMigrations(await folderWith(three))
    expect(planMigrations(files, [])).toEqual(files)
    expect(planMigrations(files, files.slice(0, 2))).toEqual(files.slice(2))
    expect(planMigrations(files, files)).toEqual([])
  })

  it('refuses a changed, a renamed, a vanished and an overtaken file by its name', async () => {
    const files = await readMigrations(await folderWith(three))
    const [a, b, c] = files
    if (a === undefined || b === undefined || c === undefined) throw new Error('three files')
    const drift = (migration: string) =>
      expect.objectContaining({ code: 'PIPE_MIGRATION_DRIFT', details: { migration } })
    expect(() => planMigrations(files, [{ ...a, checksum: 'other' }])).toThrow(drift('0001_a.sql'))
    expect(() => planMigrations(files, [{ ...a, name: '0001_z.sql' }])).toThrow(drift('0001_a.sql'))
    expect(() => planMigrations([a], [a, b])).toThrow(drift('0002_b.sql'))
    expect(() => planMigrations(files, [a, c])).toThrow(drift('0002_b.sql'))
  })
})
