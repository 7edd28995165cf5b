import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { describe, expect, it } from 'vitest'
import { limitConnections } from './connection-limit.ts'

class FakeSocket extends EventEmitter {
  destroyed = false
  readonly remoteAddress: string
  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }
  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

describe('connections of one address', () => {
  it('are closed beyond the bound, and taken again when others have ended', () => {
    const server = new EventEmitter()
    let closed = 0
    limitConnections(server as unknown as Server, 2, () => closed++)
    const connect = (address: string): FakeSocket => {
      const socket = new FakeSocket(address)
      server.emit('connection', socket)
      return socket
    }
    const [first, second, third] = [connect('a'), connect('a'), connect('a')]
    expect([first, second, third].map(({ destroyed }) => destroyed)).toEqual([false, false, true])
    expect(connect('b').destroyed).toBe(false)
    first.destroy()
    expect([connect('a').destroyed, connect('a').destroyed]).toEqual([false, true])
    expect(closed).toBe(2)
  })
})
