// A runtime for tests: time moves when told to, and every request is answered by a function of the test.
import type { Page, Reply, Runtime } from '../src/index.ts'

/** An event as it was on the wire. */
export interface WireEvent {
  readonly eventId: string
  readonly eventType: string
  readonly timestamp: string
  readonly sentAt: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly sessionId?: string
  readonly properties?: Readonly<Record<string, unknown>>
  readonly context?: Readonly<Record<string, unknown>>
}

/** A request that was made, with the time since the start. */
export interface SentRequest {
  readonly atMs: number
  readonly url: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly events: readonly WireEvent[]
  readonly signal: AbortSignal
}

/** What a server answers; `network`: the connection breaks; `silence`: nothing ever comes. */
export type Answer =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | 'network'
  | 'silence'

export type Server = (request: SentRequest) => Answer | Promise<Answer>

export interface ManualRuntime extends Runtime {
  readonly sent: SentRequest[]
  /** Answers from now on; the default stores everything. */
  server: Server
  /** Moves time and lets everything that becomes due run. */
  advance(ms: number): Promise<void>
  /** Timers that wait. */
  timers(): number
  /** Changes the device's clock; timers do not notice. */
  skewMs: number
  /** What `random` gives; 0 takes the jitter out. */
  luck: number
  page?: Page | undefined
}

export const startMs = Date.UTC(2026, 0, 1)

/** A runtime at `startMs` whose server stores everything, without a page. */
export function createManualRuntime(): ManualRuntime {
  const clock = createManualTime()
  const sent: SentRequest[] = []
  let noise = 1
  const runtime: ManualRuntime = {
    sent,
    server: createStore().server,
    skewMs: 0,
    luck: 0,
    advance: clock.advance,
    timers: clock.pending,
    now: () => startMs + clock.elapsed() + runtime.skewMs,
    elapsed: clock.elapsed,
    startTimer: clock.startTimer,
    random: () => runtime.luck,
    fillRandom(bytes) {
      for (let index = 0; index < bytes.length; index++) {
        noise = (Math.imul(noise, 1_103_515_245) + 12_345) >>> 0
        bytes[index] = noise >>> 16
      }
    },
    fetch: async (url, { headers, body, signal }) => {
      const parsed = JSON.parse(body) as { events?: WireEvent[] } & WireEvent
      const request: SentRequest = {
        atMs: clock.elapsed(),
        url,
        path: new URL(url).pathname,
        headers,
        body,
        events: parsed.events ?? [parsed],
        signal
      }
      sent.push(request)
      return await toReply(await runtime.server(request))
    }
  }
  return runtime
}

/** Time that stands still until it is moved; all that follows from a moment happens before the next one. */
function createManualTime() {
  let now = 0
  const timers = new Set<{ readonly at: number; readonly task: () => void }>()
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    elapsed: () => now,
    pending: () => timers.size,
    startTimer(ms: number, task: () => void) {
      const timer = { at: now + ms, task }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    async advance(ms: number) {
      const until = now + ms
      await settle()
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)
        if (next === undefined) break
        timers.delete(next)
        now = next.at
        next.task()
        await settle()
      }
      now = until
    }
  }
}

async function toReply(answer: Answer): Promise<Reply> {
  if (answer === 'silence') return await new Promise(() => {})
  if (answer === 'network') throw new TypeError('fetch failed')
  const { status, body, headers = {} } = answer
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? {})
  return { status, headers: { get: (name) => headers[name] ?? null }, text: () => Promise.resolve(text) }
}

/** A gateway that keeps what it is sent: 202 the first time, duplicate after that. */
export function createStore(): { readonly server: Server; readonly ids: ReadonlyMap<string, number> } {
  const ids = new Map<string, number>()
  const store = ({ eventId }: WireEvent): 'accepted' | 'duplicate' => {
    const copies = (ids.get(eventId) ?? 0) + 1
    ids.set(eventId, copies)
    return copies === 1 ? 'accepted' : 'duplicate'
  }
  const server: Server = ({ path, events }) => {
    const items = events.map((event) => ({ eventId: event.eventId, status: store(event) }))
    const [only] = items
    if (path === '/v1/events/batch') return { status: 202, body: { items } }
    return { status: only?.status === 'duplicate' ? 409 : 202, body: only }
  }
  return { server, ids }
}

/** Answers in turn, then with `rest`. */
export function inTurn(answers: readonly (Answer | Server)[], rest: Server = createStore().server): Server {
  const queue = [...answers]
  return (request) => {
    const next = queue.shift() ?? rest
    return typeof next === 'function' ? next(request) : next
  }
}

/** A problem document of the gateway. */
export function problem(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body: { type: `urn:millrace:problem:${code}`, title: code, status, code }, headers }
}

/** A storage as browsers have it, for one origin. */
export function createMemoryStorage(entries: Readonly<Record<string, string>> = {}) {
  const values = new Map(Object.entries(entries))
  return {
    values,
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key)
  }
}

/** A page whose visitor is moved by the test. */
export function createFakePage() {
  const beacons: { readonly url: string; readonly body: string; readonly events: readonly WireEvent[] }[] = []
  const listeners = new Set<{ hidden(): void; online(): void }>()
  return {
    beacons,
    address: 'https://shop.example/a?utm_source=news&utm_campaign=spring',
    referrer: 'https://search.example/',
    connected: true,
    /** Beacons the browser still takes. */
    beaconRoom: Infinity,
    watchers: () => listeners.size,
    hide: () => listeners.forEach((each) => each.hidden()),
    connect() {
      this.connected = true
      listeners.forEach((each) => each.online())
    },
    visit() {
      const { href: url, pathname: path, search } = new URL(this.address)
      return { url, path, search, title: 'A shop', referrer: this.referrer, locale: 'en-GB' }
    },
    isOnline() {
      return this.connected
    },
    sendBeacon(url: string, body: string) {
      if (beacons.length >= this.beaconRoom) return false
      const { events } = JSON.parse(body) as { events: WireEvent[] }
      beacons.push({ url, body, events })
      return true
    },
    watch(on: { hidden(): void; online(): void }) {
      listeners.add(on)
      return () => void listeners.delete(on)
    }
  }
}
