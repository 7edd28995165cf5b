// A gateway in the test's own process over the real Kafka and Redis. Only the key store is a stand-in: keys have their
// own tests.
import { kafkaFields, load } from '@millrace/config'
import { defaultProjectSettings, rawTopic } from '@millrace/contracts'
import { createPartitionQueue, openKafka } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createFaults } from '@millrace/service'
import { createDedupLease } from '@millrace/stores/dedup-lease'
import { openRedis } from '@millrace/stores/redis'
import { createAcceptEvents } from '../src/accept.ts'
import { createGatewayApp } from '../src/app.ts'
import { dedupSettings } from '../src/config.ts'
import { createDedup } from '../src/dedup.ts'
import { gatewayMetrics } from '../src/metrics.ts'

export interface TestGateway extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** Sends one event with the key of `project`. */
  send(body: string | Buffer): Promise<Answer>
  /** Requests that reached the key store so far. */
  taken(): number
  /** The series of the gateway with values, as lines. */
  series(): Promise<readonly string[]>
  /** Stops as the service does: intake ends, then what is under way. */
  stop(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly retryAfter: string | null
  readonly body: Readonly<Record<string, unknown>>
}

export interface TestGatewayOptions {
  readonly project: string
  /** How long the key store takes for each request; default 0. */
  readonly keyDelayMs?: number
  /** How long Redis is waited for; default: that of the service. Beyond it events are accepted unchecked. */
  readonly redisTimeoutMs?: number
  readonly endpoints: { readonly KAFKA_BROKERS: string; readonly REDIS_DEDUP_URL: string }
}

const maxEventBytes = 256 * 1024

/** Starts a gateway on a free port; every key belongs to `project`. */
export async function openGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { project, endpoints, keyDelayMs = 0, redisTimeoutMs: commandTimeoutMs } = options
  const clock = systemClock
  const log = createSilentLogger()
  const registry = createRegistry()
  const metrics = bindMetrics(gatewayMetrics, registry)
  const intake = new AbortController()
  await using opening = new AsyncDisposableStack()
  const redis = opening.use(
    await openRedis({
      url: endpoints.REDIS_DEDUP_URL,
      role: 'dedup',
      log,
      requirePolicy: 'when-reachable',
      ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs })
    })
  )
  const lease = createDedupLease({ redis, shards: 1, leaseMs: 30_000, windowMs: 3_600_000 })
  const onFailure = (operation: string): void => metrics.dedupFailures.add(1, { operation })
  const dedup = opening.use(createDedup({ lease, clock, settings: dedupSettings, onFailure }))
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log, clientId: 'gateway-test' }))
  const producer = await kafka.producer()
  const publisher = opening.use(createPartitionQueue({ producer, topicOf: rawTopic, clock }))
  const accept = createAcceptEvents({
    dedup,
    log: publisher,
    clock,
    faults: createFaults(undefined, false),
    maxEventBytes,
    gates: [],
    onReceived: () => {},
    onUnchecked: () => metrics.unchecked.add(1)
  })
  let taken = 0
  const app = createGatewayApp({
    accept,
    admission: { enter: () => ({ kind: 'admitted', resize: () => undefined, release: () => {} }) },
    limiter: { exhausted: () => undefined },
    keys: {
      authenticate: async () => {
        taken++
        if (keyDelayMs > 0) await clock.sleep(keyDelayMs)
        return { kind: 'ok', projectId: project, logGeneration: 0, settings: defaultProjectSettings }
      }
    },
    clock,
    metrics,
    log,
    signal: intake.signal,
    random: () => 0,
    collect: { ip: false, userAgent: false },
    countryHeader: '',
    trustProxy: false,
    maxEventBytes,
    corsOrigins: ['*'],
    connectionsPerAddress: 0
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const stack = opening.move()
  const stop = async (): Promise<void> => {
    intake.abort(new Error('stop'))
    await app.close()
    await stack.disposeAsync()
  }
  return {
    url,
    send: (body) => send(url, body),
    taken: () => taken,
    series: async () =>
      (await registry.metrics()).split('\n').filter((line) => line.startsWith('analytics_') && !line.endsWith(' 0')),
    stop,
    [Symbol.asyncDispose]: stop
  }
}

async function send(url: string, body: string | Buffer): Promise<Answer> {
  const headers = { authorization: 'Bearer key', 'content-type': 'application/json' }
  const response = await fetch(`${url}/v1/events`, { method: 'POST', headers, body: Buffer.from(body) })
  const answer = (await response.json()) as Record<string, unknown>
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: answer }
}
