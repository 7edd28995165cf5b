// An HTTP proxy in front of an S3 server that spoils every second write: refused, stored but answered with 500, or stored
// and never answered.
import { createServer, request } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const faults = ['500 before storing', '500 after storing', 'no answer after storing'] as const

export interface S3Faults extends AsyncDisposable {
  readonly port: number
  /** How often each happened, and how many writes went through. */
  counts(): readonly (readonly [name: string, count: number])[]
  /** No more faults. */
  end(): void
}

/** Opens the proxy in front of the server at `target` on 127.0.0.1. */
export async function openS3Faults(target: number): Promise<S3Faults> {
  const counts = new Map<string, number>([...faults, 'stored'].map((name) => [name, 0]))
  let writes = 0
  let over = false
  const server = createServer((incoming, outgoing) => {
    const write = incoming.method === 'PUT'
    const spoiled = write && !over && ++writes % 2 === 0
    const fault = spoiled ? faults[(writes / 2) % faults.length] : undefined
    if (write) counts.set(fault ?? 'stored', (counts.get(fault ?? 'stored') ?? 0) + 1)
    if (fault === '500 before storing') {
      incoming.resume().once('end', () => refuse(outgoing))
      return
    }
    forward(target, incoming, outgoing, fault)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    counts: () => [...counts],
    end() {
      over = true
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

function forward(
  port: number,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: (typeof faults)[number] | undefined
): void {
  const { method, url: path, headers } = incoming
  const onward = request({ host: '127.0.0.1', port, method, path, headers }, (reply) => {
    if (fault === undefined) {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(outgoing)
      return
    }
    reply.resume().once('end', () => {
      if (fault === '500 after storing') refuse(outgoing)
    })
  })
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}

function refuse(outgoing: ServerResponse): void {
  outgoing.writeHead(500, { 'content-type': 'application/xml' })
  outgoing.end('<Error><Code>InternalError</Code><Message>spoiled by a test</Message></Error>')
}
