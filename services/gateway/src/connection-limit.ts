// How many connections one address may hold. Bounds of time end a slow client; this bounds how many it may be.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Closes what `address` opens beyond `most` connections; `onClosed` is told of each. */
export function limitConnections(server: Pick<Server, 'on'>, most: number, onClosed: () => void): void {
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (open.get(address) ?? 0) + 1
    if (count > most) {
      onClosed()
      socket.destroy()
      return
    }
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 0) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}
