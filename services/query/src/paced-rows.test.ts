import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { paceRows } from './paced-rows.ts'

function setup() {
  const clock = createManualClock()
  const source = new PassThrough()
  return { clock, source, ...paceRows(source, clock) }
}

/** Lets streams do what they have to. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('paced rows', () => {
  it('are the bytes of the source, however they come and are taken', async () => {
    const { source, rows } = setup()
    const parts = Array.from({ length: 300 }, (_, index) => Buffer.alloc(1 + index * 7, index % 251))
    const writing = (async () => {
      for (const [index, part] of parts.entries()) {
        source.write(part)
        if (index % 3 === 0) await settle()
      }
      source.end()
    })()
    const read: Buffer[] = []
    for await (const part of rows) read.push(part as Buffer)
    await writing
    expect(Buffer.concat(read).equals(Buffer.concat(parts))).toBe(true)
  })

  it('count the time of the client alone', async () => {
    const { clock, source, rows, idleMs } = setup()
    await clock.advance(100)
    rows.resume()
    await settle()
    await clock.advance(1_000)
    source.write('a')
    await settle()
    expect(idleMs()).toBe(100)
    rows.pause()
    // More than is kept ahead of a client.
    source.write(Buffer.alloc(200_000))
    await settle()
    await clock.advance(5_000)
    rows.resume()
    await settle()
    expect(idleMs()).toBe(5_100)
    await clock.advance(300)
    source.end()
    await finished(rows)
    expect(idleMs()).toBe(5_100)
  })

  it('end their source when the client goes away, also while it is silent', async () => {
    const { clock, source, rows, idleMs } = setup()
    rows.resume()
    await settle()
    await clock.advance(1_000)
    rows.destroy()
    await settle()
    expect([source.destroyed, rows.destroyed, idleMs()]).toEqual([true, true, 0])
    const unread = setup()
    await unread.clock.advance(700)
    unread.rows.destroy()
    await settle()
    expect([unread.source.destroyed, unread.idleMs()]).toEqual([true, 700])
  })

  it('break off as their source does', async () => {
    const { source, rows } = setup()
    const broken = new Error('broken')
    rows.resume()
    const end = finished(rows)
    source.write('a')
    source.destroy(broken)
    await expect(end).rejects.toBe(broken)
    const unread = setup()
    const unreadEnd = finished(unread.rows)
    unread.source.write(Buffer.alloc(200_000))
    await settle()
    unread.source.destroy(broken)
    await expect(unreadEnd).rejects.toBe(broken)
  })
})
