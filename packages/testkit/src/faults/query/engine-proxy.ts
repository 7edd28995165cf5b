// Stands between the query service and the engine and counts queries of clients: how many there were, and how many ran at
// the same time. It knows a query of a client by the project in its log_comment.
import { createServer, request as ask } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { pipeline } from 'node:stream'

export interface EngineProxy extends AsyncDisposable {
  /** CLICKHOUSE_URL of the service. */
  readonly url: string
  /** Queries of `project`, or of all, so far. */
  total(project?: string): number
  /** Most that ran at once since the last call. */
  takePeak(): number
}

/** Opens a proxy in front of the engine at `clickhouseUrl`. */
export async function openEngineProxy(clickhouseUrl: string): Promise<EngineProxy> {
  const target = new URL(clickhouseUrl)
  const totals = new Map<string, number>()
  let running = 0
  let peak = 0
  const server = createServer((incoming, reply) => {
    const asked = new URL(incoming.url ?? '/', clickhouseUrl).searchParams
    const project = asked.get('log_comment')?.split(':')[0] ?? ''
    if (project !== '') {
      totals.set(project, (totals.get(project) ?? 0) + 1)
      peak = Math.max(peak, ++running)
      reply.once('close', () => running--)
    }
    const { method, headers, url: path } = incoming
    const upstream = ask({ host: target.hostname, port: target.port, method, headers, path }, (answer) => {
      reply.writeHead(answer.statusCode ?? 500, answer.headers)
      // Whichever side breaks, the other one is told.
      pipeline(answer, reply, () => undefined)
    })
    upstream.on('error', () => reply.destroy())
    reply.once('close', () => upstream.destroy())
    pipeline(incoming, upstream, () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(clickhouseUrl)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    total: (project) =>
      project === undefined ? [...totals.values()].reduce((a, b) => a + b, 0) : (totals.get(project) ?? 0),
    takePeak: () => {
      const found = peak
      peak = running
      return found
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    }
  }
}
