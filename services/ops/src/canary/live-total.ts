// The number of events of a project as the live feed shows it: a ticket, a WebSocket, a subscription, and the total of the
// windows in it.
import { AppError } from '@millrace/kernel'

/** The parts of a message of the feed that count here (docs/realtime.md). */
interface Frame {
  readonly type: string
  readonly data?: readonly { readonly timestamp: number; readonly value: number | null }[]
  readonly problem?: { readonly code: string }
}

export interface LiveTotal extends Disposable {
  /** Resolves when the total is above what the first snapshot said. Rejects when the connection ends before. */
  readonly grown: Promise<void>
}

export interface LiveTotalOptions {
  /** `http://host:port` of the feed. */
  readonly url: string
  readonly secretKey: string
  readonly signal: AbortSignal
}

/** Subscribes; resolves with the first snapshot. Throws PIPE_DELIVERY when the feed refuses or ends. */
export async function openLiveTotal({ url, secretKey, signal }: LiveTotalOptions): Promise<LiveTotal> {
  const socket = new WebSocket(
    `${url.replace(/^http/, 'ws')}/realtime?ticket=${await ticketOf(url, secretKey, signal)}`
  )
  const opened = Promise.withResolvers<void>()
  const grown = Promise.withResolvers<void>()
  // Whoever waits for neither is not told: the other one is.
  opened.promise.catch(() => undefined)
  grown.promise.catch(() => undefined)
  const fail = (why: string): void => {
    const error = new AppError('PIPE_DELIVERY', `the live feed ${why}`)
    opened.reject(error)
    grown.reject(error)
  }
  const values = new Map<number, number>()
  let before: number | undefined
  const take = ({ type, data, problem }: Frame): void => {
    if (type === 'welcome') return socket.send(subscription)
    if (type === 'error') return fail(`refuses: ${problem?.code ?? 'for no reason'}`)
    if (type !== 'snapshot' && type !== 'delta') return
    if (type === 'snapshot') values.clear()
    for (const { timestamp, value } of data ?? []) values.set(timestamp, value ?? 0)
    const total = [...values.values()].reduce((sum, value) => sum + value, 0)
    if (before === undefined) {
      before = total
      opened.resolve()
    } else if (total > before) grown.resolve()
  }
  // A text that is no JSON ends as an error of the socket would: the feed is not what it should be.
  socket.addEventListener('message', ({ data }) => {
    new Response(String(data)).json().then(
      (frame) => take(frame as Frame),
      () => fail('sent what is no message')
    )
  })
  socket.addEventListener('close', () => fail('closed the connection'))
  socket.addEventListener('error', () => fail('cannot be reached'))
  signal.addEventListener('abort', () => socket.close(), { once: true })
  try {
    await opened.promise
  } catch (error) {
    socket.close()
    throw error
  }
  return { grown: grown.promise, [Symbol.dispose]: () => socket.close() }
}

const subscription = JSON.stringify({
  type: 'subscribe',
  id: 'canary',
  to: 'metrics',
  metric: 'events',
  granularity: '1m',
  windows: 5
})

async function ticketOf(url: string, secretKey: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(`${url}/v1/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secretKey}`, 'content-type': 'application/json' },
    body: '{"allow":["metrics"]}',
    signal
  })
  if (!response.ok) throw new AppError('PIPE_DELIVERY', `the live feed answered ${response.status} to a ticket`)
  return ((await response.json()) as { ticket: string }).ticket
}
