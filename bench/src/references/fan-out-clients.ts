// Clients of a live feed that cost as little as possible: plain sockets that shake hands once and then count frames.
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { serveLoop } from '../loop-child.ts'

/** Connects clients under a name, or counts the frames that reached them. */
export type ClientsTask = ConnectTask | { readonly count: string }

interface ConnectTask {
  readonly connect: string
  readonly clients: number
  readonly port: number
  /** Path of the handshake; with `ticketPath` a ticket is asked for there and put behind it. */
  readonly path: string
  readonly ticketPath?: string
  /** Sent by each client once it is connected. */
  readonly say?: string
}

const received = new Map<string, number>()
const open: Socket[] = []
const atOnce = 20

process.on('SIGTERM', () => process.exit(0))
serveLoop<ClientsTask>(async (task) => {
  if ('count' in task) {
    await setTimeout(20)
    const count = received.get(task.count) ?? 0
    received.set(task.count, 0)
    return count
  }
  for (let left = task.clients; left > 0; left -= atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, left) }, () => connectOne(task)))
  }
  // What comes of connecting is over.
  await setTimeout(1_000)
  received.set(task.connect, 0)
  return 0
})

async function connectOne(task: ConnectTask): Promise<void> {
  const { port, path, ticketPath, say } = task
  const ticket = ticketPath === undefined ? '' : await askTicket(port, ticketPath)
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `GET ${path}${ticket} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  )
  const [first] = (await once(socket, 'data')) as [Buffer]
  if (!first.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`refused: ${first.toString()}`)
  open.push(socket)
  let rest = first.subarray(first.indexOf('\r\n\r\n') + 4)
  const take = (data: Buffer): void => {
    const all = rest.byteLength === 0 ? data : Buffer.concat([rest, data])
    const { frames, at } = framesOf(all, (ping) => void (ping && socket.write(pong)))
    rest = all.subarray(at)
    received.set(task.connect, (received.get(task.connect) ?? 0) + frames)
  }
  socket.on('data', take)
  socket.on('error', () => undefined)
  if (say !== undefined) socket.write(masked(say))
}

/** Text frames in `data`, and where the first incomplete frame begins (RFC 6455 5.2). */
function framesOf(data: Buffer, onPing: (isPing: boolean) => void): { readonly frames: number; readonly at: number } {
  let at = 0
  let frames = 0
  for (;;) {
    if (at + 4 > data.byteLength && !(at + 2 <= data.byteLength && (data[at + 1] ?? 0) < 126)) return { frames, at }
    const short = data[at + 1] ?? 0
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    if (at + head > data.byteLength) return { frames, at }
    const length =
      short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2))
    if (at + head + length > data.byteLength) return { frames, at }
    if (data[at] === 0x81) frames++
    else onPing(data[at] === 0x89)
    at += head + length
  }
}

const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** A text frame as clients send it, with a mask of zeros. */
function masked(text: string): Buffer {
  const body = Buffer.from(text)
  const head =
    body.byteLength < 126 ? [0x81, 0x80 | body.byteLength] : [0x81, 0xfe, body.byteLength >> 8, body.byteLength & 255]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body])
}

async function askTicket(port: number, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'x-millrace-page': 'live' }
  })
  return ((await response.json()) as { ticket: string }).ticket
}
