import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import type { Commit } from '@millrace/kafka'
import { archiveKey } from '@millrace/stores/archive-key'
import type { ArchiveFile, ArchiveHole } from '@millrace/stores/archive-manifest'
import { keepClosing, removeOrphans } from './upkeep.ts'

const hourMs = 3_600_000
const key = (first: bigint, last: bigint, letter: string, epoch = 1): string =>
  archiveKey({ topic: 'events.a', partition: 0, epoch, first, last, sha256: letter.repeat(64) })

describe('orphans', () => {
  function setUp(found: readonly string[], holes: readonly ArchiveHole[] = []) {
    const removed: string[] = []
    const log = { topic: 'events.a', partition: 0, epoch: 1 }
    const size = { rows: 100, holes: 0, rawBytes: 1, fileBytes: 1, contentCrc: 0, sha256: 'a'.repeat(64) }
    const times = { firstAppendedAtMs: 0, lastAppendedAtMs: 1 }
    const file: ArchiveFile = { ...log, ...size, ...times, first: 0n, last: 99n, key: key(0n, 99n, 'a') }
    const clock = createManualClock(100 * hourMs)
    const objects = {
      async *list() {
        for (const each of found) yield { key: each, bytes: 1, modifiedAtMs: 100 * hourMs - 24 * hourMs }
      },
      remove: async (each: string) => void removed.push(each)
    }
    const manifest = {
      allHeads: async () => [{ topic: 'events.a', partition: 0, epoch: 1, position: 100n, appendedAtMs: 1 }],
      holes: async () => holes,
      files: async () => [file]
    }
    const remove = (keptMs = 24 * hourMs) => removeOrphans({ objects, manifest, clock, keptMs })
    return { remove, removed }
  }

  it('are removed when they are old and can never become part of the archive', async () => {
    const dead = [key(0n, 50n, 'b'), key(40n, 120n, 'c')]
    const { remove, removed } = setUp([key(0n, 99n, 'a'), ...dead])
    expect(await remove(25 * hourMs)).toBe(0)
    expect(await remove()).toBe(2)
    expect(removed).toEqual(dead)
  })

  it('stay when they may still be claimed, are of no known log, or are no files of the archive', async () => {
    const { remove } = setUp([key(100n, 150n, 'b'), key(0n, 1n, 'b', 2), 'archive/a/notes.txt'])
    expect(await remove()).toBe(0)
  })

  it('stay when they hold records that the archive lacks', async () => {
    const orphans = [key(0n, 50n, 'b'), key(60n, 70n, 'b')]
    const { remove, removed } = setUp(orphans, [
      { first: 50n, last: 52n, reason: 'expired' },
      { first: 60n, last: 60n, reason: 'absent' }
    ])
    expect(await remove()).toBe(1)
    expect(removed).toEqual([orphans[1]])
  })
})

it('looks for ranges that are due until it is stopped, and waits longer after a failure', async () => {
  const clock = createManualClock(0)
  const stop = new AbortController()
  const looked: number[] = []
  const readOn: Commit[] = []
  const failures: unknown[] = []
  const moved = { topic: 'events.a', partition: 0, offset: 7n }
  const ended = keepClosing({
    archive: {
      async closeDue() {
        looked.push(clock.now())
        return looked.length === 2 ? { readOn: [moved], failure: 'away' } : { readOn: [], failure: undefined }
      }
    },
    readOn: (to) => void readOn.push(...to),
    clock,
    signal: stop.signal,
    everyMs: 10,
    retryMs: 100,
    onFailure: (error) => void failures.push(error)
  })
  for (let step = 0; step < 12; step++) await clock.advance(10)
  expect([looked, readOn, failures]).toEqual([[0, 10, 110, 120], [moved], ['away']])
  stop.abort(new Error('over'))
  await ended
})
