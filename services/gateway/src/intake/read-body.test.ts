import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { discardRest, readBody } from './read-body.ts'

/** A request as far as its body goes. */
function openRequest(): PassThrough & IncomingMessage {
  return Object.assign(new PassThrough(), { complete: false }) as unknown as PassThrough & IncomingMessage
}

/** Room that was given before the body came; more of it is refused beyond `mostBytes`. */
function roomOf(bytes: number, mostBytes = bytes) {
  const asked: number[] = []
  const turnedAway = { kind: 'turned-away', reason: 'bytes', retryAfterMs: 1_000 } as const
  const resize = (next: number) => {
    asked.push(next)
    return next > mostBytes ? turnedAway : undefined
  }
  return { bytes, resize, asked, turnedAway }
}

describe('the body of a request', () => {
  it('is all of its chunks', async () => {
    const request = openRequest()
    const read = readBody(request, 4, roomOf(4))
    request.write('ab')
    request.end('cd')
    expect(await read).toEqual({ kind: 'ok', body: Buffer.from('abcd') })
  })

  it('is empty when nothing comes', async () => {
    const request = openRequest()
    request.end()
    expect(await readBody(request, 4, roomOf(4))).toEqual({ kind: 'ok', body: Buffer.alloc(0) })
  })

  it('is too large with its first byte beyond the bound, not at its end', async () => {
    const request = openRequest()
    const read = readBody(request, 3, roomOf(4))
    request.write('ab')
    request.write('cd')
    expect(await read).toEqual({ kind: 'too_large' })
  })

  it('is gone when the client leaves before the end', async () => {
    const request = openRequest()
    const read = readBody(request, 4, roomOf(4))
    request.write('ab')
    request.destroy()
    expect(await read).toEqual({ kind: 'gone' })
  })

  it('is gone when the client had left before anybody read it', async () => {
    const request = openRequest()
    request.destroy()
    await new Promise((resolve) => request.once('close', resolve))
    expect(await readBody(request, 4, roomOf(4))).toEqual({ kind: 'gone' })
  })
})

describe('the room of a body', () => {
  it('is asked for as far as it goes beyond what it has', async () => {
    const request = openRequest()
    const room = roomOf(2, 4)
    const read = readBody(request, 4, room)
    for (const chunk of ['a', 'b', 'c']) request.write(chunk)
    request.end('d')
    expect(await read).toEqual({ kind: 'ok', body: Buffer.from('abcd') })
    expect(room.asked).toEqual([3, 4])
  })

  it('ends the reading at once when there is no more', async () => {
    const request = openRequest()
    const room = roomOf(2, 3)
    const read = readBody(request, 10, room)
    for (const chunk of ['ab', 'c', 'd', 'e']) request.write(chunk)
    expect(await read).toBe(room.turnedAway)
    expect(room.asked).toEqual([3, 4])
  })
})

describe('what comes behind a refusal', () => {
  it('is taken up to a bound, and then the connection is cut', async () => {
    const request = openRequest()
    discardRest(request, 3)
    request.write('abc')
    await new Promise((resolve) => setImmediate(resolve))
    expect(request.destroyed).toBe(false)
    request.write('d')
    await new Promise((resolve) => request.once('close', resolve))
    expect(request.destroyed).toBe(true)
  })
})
