import { createHash } from 'node:crypto'
import { closeSync, fstatSync, mkdtempSync, readSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readArchiveFile } from '@millrace/stores/archive-file'
import { packBlock } from './block.ts'
import { openSpool } from './spool.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-spool-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const block = (from: number, count: number, bytes = 10) =>
  packBlock(
    Array.from({ length: count }, (_, index) => ({
      offset: BigInt(from + index),
      key: null,
      value: Buffer.alloc(bytes, from + index),
      headers: {},
      appendedAtMs: 1_000 + from + index
    }))
  )
const open = (groupBytes = 1e6) => openSpool({ folder, topic: 'events.a', partition: 3, groupRows: 10, groupBytes })

async function groupsOf(fd: number, bytes: number): Promise<number[][]> {
  const file = Buffer.alloc(bytes)
  readSync(fd, file, 0, bytes, 0)
  const groups = await Array.fromAsync(readArchiveFile(file))
  return groups.map((group) => group.map(({ offset }) => Number(offset)))
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

it('makes groups of the asked size whatever the blocks are, in a file without a name', async () => {
  const spool = open()
  // Packed records are on the disk; in memory is what tells where.
  expect(spool.append(block(0, 7))).toEqual({ memoryBytes: 7 * 64, fileBytes: 7 * (16 + 10) })
  expect(spool.append(block(7, 16)).memoryBytes).toBe(3 * (10 + 64))
  spool.append(block(23, 1))
  const { fd, bytes, sha256 } = spool.finish()
  expect(await groupsOf(fd, bytes)).toEqual([range(0, 10), range(10, 20), range(20, 24)])
  expect([fstatSync(fd).size, readdirSync(folder)]).toEqual([bytes, []])
  const file = Buffer.alloc(bytes)
  readSync(fd, file, 0, bytes, 0)
  expect(createHash('sha256').update(file).digest('hex')).toBe(sha256)
  spool.drop()
  expect(() => closeSync(fd)).toThrow('EBADF')
})

it('writes a group of large records before it is full', async () => {
  const spool = open(3_000)
  spool.append(block(0, 2, 1_000))
  expect(spool.append(block(2, 2, 1_000)).memoryBytes).toBe(0)
  spool.append(block(4, 1))
  const { fd, bytes } = spool.finish()
  expect(await groupsOf(fd, bytes)).toEqual([range(0, 4), [4]])
  spool.drop()
})
