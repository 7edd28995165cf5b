// Which of several servers of one store are given work now: every change is counted and logged once.
import { toError } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { replicaMetrics } from './metrics.ts'

/** Why a server is given nothing; `unchecked`: it has not been asked yet. */
export type LeftOut = 'unchecked' | 'away' | 'behind' | 'slow' | 'failed' | 'no_replica'

export interface ServerSet {
  /** Undefined: it is given work. */
  leftOut(server: number): LeftOut | undefined
  /** `undefined` gives it work again. */
  set(server: number, reason: LeftOut | undefined, error?: unknown): void
}

export interface ServerSetOptions {
  readonly store: 'postgres' | 'clickhouse' | 'redis'
  /** They are known by their numbers, from 0. */
  readonly count: number
  /** Of all at first. */
  readonly atFirst: 'unchecked' | undefined
  readonly log: Pick<Logger, 'warn' | 'info'>
  readonly metrics: Pick<BoundMetrics<typeof replicaMetrics>, 'leftOut' | 'usable' | 'configured'>
}

/** A set of `count` servers. */
export function createServerSet({ store, count, atFirst, log, metrics }: ServerSetOptions): ServerSet {
  const states = Array.from({ length: count }, (): LeftOut | undefined => atFirst)
  const show = (): void => metrics.usable.set(states.filter((state) => state === undefined).length, { store })
  if (count > 0) {
    metrics.configured.set(count, { store })
    show()
  }
  return {
    leftOut: (server) => states[server],
    set(server, reason, error) {
      if (states[server] === reason) return
      states[server] = reason
      show()
      if (reason === undefined) return log.info({ store, server }, 'a server is given work')
      metrics.leftOut.add(1, { store, reason })
      const about = { store, server, reason, ...(error === undefined ? {} : { err: toError(error) }) }
      log.warn(about, 'a server is left out')
    }
  }
}
