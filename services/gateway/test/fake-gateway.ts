// The gateway's HTTP surface over fakes that answer as told: requests go in as bytes, without a network.
import inject from 'light-my-request'
import type { InjectOptions, Response } from 'light-my-request'
import { defaultProjectSettings } from '@millrace/contracts'
import type { KeyDecision, ProjectContext, ProjectSettings } from '@millrace/contracts'
import type { OutgoingEvent, PublishOutcome } from '@millrace/kafka'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createFaults } from '@millrace/service'
import type { Limited } from '../src/rate-limiter.ts'
import { createAcceptEvents } from '../src/accept.ts'
import type { AcceptDeps } from '../src/accept.ts'
import type { Admission } from '../src/admission.ts'
import { createGatewayApp } from '../src/app.ts'
import type { DedupItem, EventAdmission, EventDedup } from '../src/event-dedup.ts'
import { gatewayMetrics } from '../src/metrics.ts'

/** What the fakes say. Without a word the event is new, the log stores it, and the key is good. */
export interface World {
  readonly dedup?: string | undefined
  readonly log?: string | undefined
  readonly random?: () => number
  readonly settings?: Partial<ProjectSettings>
  readonly gates?: AcceptDeps['gates']
  readonly admission?: Pick<Admission, 'enter'>
  readonly exhausted?: Limited
  readonly trustProxy?: boolean
  readonly collectIp?: boolean
  readonly countryHeader?: string
}

export const startMs = Date.UTC(2026, 2, 1)
export const goodHeaders = { authorization: 'Bearer good', 'content-type': 'application/json' }

/** The app, with everything its fakes were asked. */
export function openFakeGateway(world: World = {}) {
  const published: OutgoingEvent[] = []
  const holds: string[] = []
  const asked: DedupItem[] = []
  const errors: unknown[] = []
  const stop = new AbortController()
  const clock = createManualClock(startMs)
  const registry = createRegistry()
  const metrics = bindMetrics(gatewayMetrics, registry)
  const accept = createAcceptEvents({
    dedup: fakeDedup(world, asked, holds),
    log: {
      retryAfterMs: () => 0,
      publishAll: async (events) =>
        events.map((event) => {
          const outcome = publishOutcome(wordFor(world.log, event.eventId))
          if (outcome.kind === 'acked') published.push(event)
          return outcome
        })
    },
    clock,
    faults: createFaults(undefined, false),
    maxEventBytes: 256 * 1024,
    gates: world.gates ?? [],
    onReceived: (type) => metrics.received.add(1, { type }),
    onUnchecked: () => metrics.unchecked.add(1)
  })
  const settings = { ...defaultProjectSettings, ...world.settings }
  const app = createGatewayApp({
    accept,
    admission: world.admission ?? { enter: () => ({ kind: 'admitted', resize: () => undefined, release: () => {} }) },
    limiter: { exhausted: () => world.exhausted },
    keys: { authenticate: (key) => keyDecision(key, settings) },
    clock,
    metrics,
    random: world.random ?? (() => 0),
    collect: { ip: world.collectIp ?? false, userAgent: true },
    countryHeader: world.countryHeader ?? '',
    log: createSilentLogger(),
    signal: stop.signal,
    trustProxy: world.trustProxy ?? false,
    maxEventBytes: 256 * 1024,
    corsOrigins: ['https://everywhere.example'],
    connectionsPerAddress: 0
  })
  const request = async (options: InjectOptions): Promise<Response> => {
    await app.ready()
    return await inject((incoming, response) => void app.server.emit('request', incoming, response), options)
  }
  const send = (payload: string | Buffer, headers: Record<string, string> = goodHeaders, url = '/v1/events') =>
    request({ method: 'POST', url, headers, payload })
  const series = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => /^analytics_\w+_total/.test(line))
  return { app, request, send, published, holds, asked, stop, series, clock, errors }
}

/** `says` for one event: a word for all, or `id=word` pairs separated by commas. */
function wordFor(says: string | undefined, eventId: string): string | undefined {
  if (says === undefined || !says.includes('=')) return says
  const pairs = says.split(',').map((pair) => pair.split('='))
  return pairs.find(([id]) => id === eventId)?.[1]
}

function fakeDedup({ dedup: says }: World, asked: DedupItem[], holds: string[]): EventDedup {
  return {
    admitAll: async (_project, _generation, items) => {
      asked.push(...items)
      return items.map((item): EventAdmission => {
        const word = wordFor(says, item.eventId)
        if (word === 'duplicate' || word === 'busy') return { kind: word }
        const receipt = word === 'seen' ? { receivedAt: '2026-02-28T12:00:00.000Z' } : item.receipt
        const slot = { prefix: 'event:{demo.0}:', digest: item.eventId, word: item.eventId }
        const hold = { checked: word !== 'down', slot, token: word === 'down' ? undefined : 'token' }
        return { kind: 'admitted', hold, receipt }
      })
    },
    commitAll: async (ended) => ended.forEach(() => holds.push('commit')),
    releaseAll: async (ended) => ended.forEach(() => holds.push('release'))
  }
}

function publishOutcome(says: string | undefined): PublishOutcome {
  switch (says) {
    case undefined:
      return { kind: 'acked' }
    case 'unknown':
      return { kind: 'unknown' }
    case 'not_stored':
    case 'queue_full':
    case 'stopping':
      return { kind: 'unavailable', reason: says }
    default:
      return { kind: 'refused', code: says }
  }
}

function keyDecision(key: string, settings: ProjectSettings): KeyDecision<ProjectContext> {
  if (key === 'good' || key === 'mr_w_good' || key === 'mr_s_good') {
    return { kind: 'ok', projectId: 'demo', logGeneration: 0, settings }
  }
  return { kind: key === 'readonly' ? 'forbidden' : key === 'away' ? 'unavailable' : 'invalid' }
}
