// The endpoints that every process carries: /health for people, /livez and /readyz for the orchestrator, /metrics for
// Prometheus. A service with an API of its own carries them on the same server.
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Registry } from './metrics.ts'

/** A Fastify server that does not listen yet. */
export type HttpApp = FastifyInstance

/** One dependency as /health shows it. A failing critical check makes the service unhealthy, any other degraded. */
export interface HealthCheck {
  readonly critical: boolean
  /** Resolves when the dependency answers. */
  readonly run: () => Promise<unknown>
}

export interface OpsState {
  readonly version: string
  readonly registry: Registry
  readonly clock: Clock
  readonly startedAtMs: number
  ready(): boolean
  live(): boolean
  readonly checks: Readonly<Record<string, HealthCheck>>
  /** What /health and /metrics show when several processes answer for one service; by default this process alone. */
  readonly together?: {
    health(): Promise<Health>
    /** Text in the format of `registry`. */
    metrics(): Promise<string>
  }
}

export interface Health {
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  readonly version: string
  /** Seconds since start. */
  readonly uptime: number
  readonly checks: Readonly<Record<string, 'ok' | 'failed'>>
}

const checkTimeoutMs = 1_000

/** A server with nothing but the operations endpoints. */
export function createOpsApp(state: OpsState): HttpApp {
  const app = fastify({ logger: false, forceCloseConnections: 'idle', return503OnClosing: false })
  addOpsRoutes(app, state)
  return app
}

/** Adds /health, /livez, /readyz and /metrics to `app`. */
export function addOpsRoutes(app: HttpApp, state: OpsState): void {
  app.get('/livez', async (_request, reply) => {
    const live = state.live()
    return reply.code(live ? 200 : 503).send({ live })
  })
  app.get('/readyz', async (_request, reply) => {
    const ready = state.ready()
    return reply.code(ready ? 200 : 503).send({ ready })
  })
  app.get('/health', async (_request, reply) => {
    const health = await (state.together?.health() ?? checkHealth(state))
    return reply.code(health.status === 'unhealthy' ? 503 : 200).send(health)
  })
  app.get('/metrics', async (_request, reply) => {
    return reply.type(state.registry.contentType).send(await (state.together?.metrics() ?? state.registry.metrics()))
  })
}

/** Runs every check at once, each bounded to one second. */
export async function checkHealth(state: OpsState): Promise<Health> {
  const entries = await Promise.all(
    Object.entries(state.checks).map(async ([name, check]) => {
      try {
        await withDeadline(Promise.resolve(check.run()), checkTimeoutMs, state.clock, `health check ${name}`)
        return { name, ok: true, critical: check.critical }
      } catch {
        return { name, ok: false, critical: check.critical }
      }
    })
  )
  const failed = entries.filter((entry) => !entry.ok)
  const unhealthy = !state.live() || failed.some((entry) => entry.critical)
  return {
    status: unhealthy ? 'unhealthy' : failed.length > 0 ? 'degraded' : 'healthy',
    version: state.version,
    uptime: Math.round((state.clock.now() - state.startedAtMs) / 1_000),
    checks: Object.fromEntries(entries.map((entry) => [entry.name, entry.ok ? 'ok' : 'failed']))
  }
}

/** The health of a service of several processes: as bad as the worst of them; one failed check is a failed check. */
export function mergeHealth(own: Health, all: readonly Health[]): Health {
  const worst = (['unhealthy', 'degraded', 'healthy'] as const).find((each) =>
    all.some(({ status }) => status === each)
  )
  const checks: Record<string, 'ok' | 'failed'> = {}
  for (const health of [own, ...all]) {
    for (const [name, result] of Object.entries(health.checks)) if (checks[name] !== 'failed') checks[name] = result
  }
  return { ...own, status: worst ?? own.status, checks }
}
