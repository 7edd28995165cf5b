// A TCP proxy on 127.0.0.1 that hurts the connections through it by rules that change at run time, and counts what it
// did: a fault that did not bite proves nothing.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '@millrace/kernel'
import { createRuleSet } from './proxy-rule-set.ts'
import type { ReplyRule, RuleSet } from './proxy-rule-set.ts'
import type { Direction, ProxyRule, ProxyRuleKind, RuleHandle } from './proxy-rules.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

/** What went through and what the rules did. */
export interface ProxyCounts {
  readonly connections: number
  readonly open: number
  readonly upstreamFailures: number
  readonly bytesUp: number
  readonly bytesDown: number
  /** How often rules of a kind acted: chunks delayed or held, connections refused or cut, replies eaten. */
  readonly acted: Readonly<Record<ProxyRuleKind, number>>
}

export interface TcpProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  add(rule: ProxyRule): RuleHandle
  /** Lifts every rule. */
  clear(): void
  /** Resets every open connection; the number of them. */
  resetAll(): number
  counts(): ProxyCounts
}

/** Bytes of one direction of a connection that may wait for a slow rule before reading stops. */
const maxHeldBytes = 1024 * 1024

interface Connection {
  readonly client: Socket
  readonly server: Socket
  /** Bytes read so far, per direction; rules that count bytes count these. */
  readonly seen: Record<Direction, number>
  /** When a limited direction has sent what it was given, on the monotonic clock. */
  readonly freeAtMs: Record<Direction, number>
  /** The rule that waits for a reply. */
  awaiting: ReplyRule | undefined
}

interface Totals {
  connections: number
  upstreamFailures: number
  up: number
  down: number
}

export interface TcpProxyOptions {
  readonly target: Target
  /** Default: a free one. */
  readonly listenPort?: number
  /** Changes what the server sends, chunk by chunk, such as addresses in it. */
  readonly rewriteDown?: (chunk: Buffer) => Buffer
}

/** Listens on `listenPort` and passes connections on to `target`. */
export async function openTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const { target, rewriteDown = (chunk) => chunk } = options
  const rules = createRuleSet()
  const totals: Totals = { connections: 0, upstreamFailures: 0, up: 0, down: 0 }
  const open = new Set<Connection>()
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    totals.connections++
    if (rules.refuses()) return void client.resetAndDestroy()
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const connection: Connection = {
      client,
      server,
      seen: { up: 0, down: 0 },
      freeAtMs: { up: 0, down: 0 },
      awaiting: undefined
    }
    open.add(connection)
    let connected = false
    server.once('connect', () => (connected = true))
    server.once('error', () => {
      if (!connected) totals.upstreamFailures++
    })
    for (const socket of [client, server]) {
      socket.on('error', () => reset(connection))
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) open.delete(connection)
      })
    }
    for (const direction of ['up', 'down'] as const) {
      const rewrite = direction === 'down' ? rewriteDown : (chunk: Buffer) => chunk
      pump(connection, direction, { rules, totals, rewrite }).catch(() => reset(connection))
    }
  })
  listener.listen({ host: '127.0.0.1', port: options.listenPort ?? 0 })
  await once(listener, 'listening')
  const resetAll = (): number => {
    const connections = [...open]
    connections.forEach(reset)
    return connections.length
  }
  return {
    host: '127.0.0.1',
    // A TCP server that listens has an AddressInfo.
    port: (listener.address() as AddressInfo).port,
    add: rules.add,
    clear: rules.clear,
    resetAll,
    counts: () => ({
      connections: totals.connections,
      open: open.size,
      upstreamFailures: totals.upstreamFailures,
      bytesUp: totals.up,
      bytesDown: totals.down,
      acted: rules.acted()
    }),
    async [Symbol.asyncDispose]() {
      rules.clear()
      const closed = once(listener, 'close')
      listener.close()
      resetAll()
      await closed
    }
  }
}

function reset({ client, server }: Connection): void {
  if (!client.destroyed) client.resetAndDestroy()
  if (server.connecting) server.destroy()
  else if (!server.destroyed) server.resetAndDestroy()
}

interface Line {
  readonly rules: RuleSet
  readonly totals: Totals
  readonly rewrite: (chunk: Buffer) => Buffer
}

/** Carries one direction: reads, lets the rules act in order of arrival, writes with backpressure. */
async function pump(connection: Connection, direction: Direction, { rules, totals, rewrite }: Line): Promise<void> {
  const [from, to] =
    direction === 'up' ? [connection.client, connection.server] : [connection.server, connection.client]
  let held = 0
  let ended = false
  let tail: Promise<void> = Promise.resolve()
  for await (const chunk of from as AsyncIterable<Buffer>) {
    totals[direction] += chunk.length
    const arrivedMs = systemClock.monotonic()
    held += chunk.length
    tail = tail.then(async () => {
      const before = connection.seen[direction]
      connection.seen[direction] += chunk.length
      const { bytes, next } = await deliver(connection, direction, rules, { chunk, before, arrivedMs })
      held -= chunk.length
      if (!ended && bytes.length > 0 && !to.write(rewrite(bytes))) await once(to, 'drain')
      if (next === 'reset') throw new Error('reset by rule')
      if (next === 'end' && !ended) {
        ended = true
        to.end()
      }
    })
    // A failed delivery is seen by the await below; until then it must not count as unhandled.
    tail.catch(() => reset(connection))
    if (held > maxHeldBytes) await tail
  }
  await tail
  if (!ended) to.end()
}

interface Arrival {
  readonly chunk: Buffer
  readonly before: number
  readonly arrivedMs: number
}

interface Delivery {
  readonly bytes: Buffer
  readonly next: 'go on' | 'reset' | 'end'
}

const nothing = Buffer.alloc(0)

/** Waits as long as the rules say and decides what of the chunk goes on. */
async function deliver(
  connection: Connection,
  direction: Direction,
  rules: RuleSet,
  { chunk, before, arrivedMs }: Arrival
): Promise<Delivery> {
  await rules.lifted(direction)
  const nowMs = systemClock.monotonic()
  const { latencyMs, sendingMs } = rules.delays(direction, chunk.length)
  connection.freeAtMs[direction] = Math.max(connection.freeAtMs[direction], nowMs) + sendingMs
  const waitMs = Math.max(arrivedMs + latencyMs, connection.freeAtMs[direction]) - nowMs
  if (waitMs > 0) await systemClock.sleep(waitMs)
  if (direction === 'up') connection.awaiting ??= rules.awaits(chunk)
  else if (connection.awaiting?.kind === 'eat-reply') {
    rules.act(connection.awaiting)
    return { bytes: nothing, next: 'reset' }
  } else if (connection.awaiting !== undefined) {
    const bytes = connection.awaiting.change(chunk)
    if (bytes === undefined) return { bytes: chunk, next: 'go on' }
    rules.act(connection.awaiting)
    connection.awaiting = undefined
    return { bytes, next: 'go on' }
  }
  const hit = rules.reached(direction, before, chunk.length)
  if (hit === undefined) return { bytes: chunk, next: 'go on' }
  const keep = Math.max(0, hit.afterBytes - before)
  if (hit.kind === 'garbage') {
    const noise = Buffer.from(chunk)
    for (let index = keep; index < noise.length; index++) noise[index] = (noise[index] ?? 0) ^ (0x5a + (index % 64))
    return { bytes: noise, next: 'go on' }
  }
  return { bytes: chunk.subarray(0, keep), next: hit.kind === 'cut' ? 'reset' : 'end' }
}
