// Redis in one of three roles. Commands fail fast: no offline queue, no retries, a deadline per command; what to do
// without Redis is the caller's decision. A wrong eviction policy stops the service: it would lose marks silently.
import { Cluster, Redis as Client } from 'ioredis'
import type { RedisOptions as ClientOptions } from 'ioredis'
import { AppError, systemClock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { toRedisError } from './redis-errors.ts'
import { checkRedisPolicy } from './redis-policy.ts'
import type { RedisRole } from './redis-policy.ts'
import { parseRedisUrl } from './redis-url.ts'
import type { RedisTarget } from './redis-url.ts'

export type { RedisRole } from './redis-policy.ts'

/** An argument of a command. */
export type RedisArg = string | number | Buffer

export interface Redis extends AsyncDisposable {
  readonly role: RedisRole
  /** Many nodes with a part of the keys each: scripts declare more there, and a pipeline has one slot. */
  readonly isCluster: boolean
  /** Sends one command. Replies are strings, numbers, arrays and null. Throws PIPE_REDIS_UNAVAILABLE or _REFUSED. */
  command(name: string, ...args: readonly RedisArg[]): Promise<unknown>
  /** As `command`; strings of the reply are Buffers. */
  bytes(name: string, ...args: readonly RedisArg[]): Promise<unknown>
  /** Sends many commands in one write; each has its own reply or AppError, all of them when nothing could be sent. */
  pipeline(commands: readonly (readonly [name: string, ...args: RedisArg[]])[]): Promise<readonly RedisReply[]>
  /** Resolves when a round trip succeeded. */
  ping(): Promise<void>
  /** Whether the last policy check passed; false while Redis has not been reachable yet. */
  readonly policyChecked: () => boolean
}

export type RedisReply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: AppError }

export interface RedisOptions {
  readonly url: string
  readonly role: RedisRole
  readonly log: Logger
  /** Default 100 ms for dedup, 500 ms for the others. */
  readonly commandTimeoutMs?: number
  /**
   * `now`: an unreachable Redis or a wrong policy throws at opening. `when-reachable`: opening never fails for an
   * unreachable Redis; the policy is checked at each connection, and a wrong one is given to `onPolicyViolation`.
   */
  readonly requirePolicy: 'now' | 'when-reachable'
  /** PIPE_REDIS_POLICY found after opening; the service should stop. */
  readonly onPolicyViolation?: (error: AppError) => void
}

/** The client's own deadline comes this much later than ours; it is for what it sends itself. */
const graceMs = 1_000

/** Opens a client for `role`. Throws PIPE_REDIS_POLICY, and with `requirePolicy: 'now'` PIPE_REDIS_UNAVAILABLE. */
export async function openRedis(options: RedisOptions): Promise<Redis> {
  const { role, log } = options
  const timeoutMs = options.commandTimeoutMs ?? (role === 'dedup' ? 100 : 500)
  const target = parseRedisUrl(options.url)
  if (target.kind === 'cluster' && target.replicas && role !== 'cache') {
    throw new AppError(
      'PIPE_CONFIG_INVALID',
      `The Redis of the role '${role}' cannot be read from replicas of a cluster.`
    )
  }
  const client = createClient(target, timeoutMs + graceMs)
  let checked = false
  let down = false
  // Each reconnect attempt reports the same trouble: one line per change of state, not one per attempt.
  client.on('error', (error: Error) => {
    if (!down) log.warn({ err: error, role }, 'redis connection lost')
    down = true
  })
  const send = createSend(client, timeoutMs)
  const sendForBytes = createSend(client, timeoutMs, 'callBuffer')
  const check = async (): Promise<void> => {
    const nodes = client instanceof Cluster ? client.nodes('master').map((node) => createSend(node, timeoutMs)) : [send]
    for (const sendToNode of nodes) await checkRedisPolicy(role, sendToNode)
    checked = true
  }
  client.on('ready', () => {
    if (down) log.info({ role }, 'redis connection back')
    down = false
    if (options.requirePolicy === 'now' && !checked) return
    // After a failover another server may answer, so the policy is looked at again with each connection.
    check().catch((error: unknown) => {
      checked = false
      if (error instanceof AppError && error.code === 'PIPE_REDIS_POLICY') options.onPolicyViolation?.(error)
      else log.warn({ err: error, role }, 'redis policy could not be checked')
    })
  })
  try {
    await client.connect().catch((error: unknown) => {
      if (options.requirePolicy === 'now') throw toRedisError(error, `connect (${role})`)
    })
    if (options.requirePolicy === 'now') await check()
  } catch (error) {
    client.disconnect()
    throw error
  }
  return {
    role,
    isCluster: client instanceof Cluster,
    command: send,
    bytes: sendForBytes,
    pipeline: (commands) => sendAll(client, timeoutMs, commands),
    ping: async () => {
      await send('PING')
    },
    policyChecked: () => checked,
    [Symbol.asyncDispose]: async () => {
      await client.quit().catch(() => undefined)
      client.disconnect()
    }
  }
}

function createSend(
  client: Client | Cluster,
  timeoutMs: number,
  call: 'call' | 'callBuffer' = 'call'
): Redis['command'] {
  // The client knows which commands only read, and may go to a replica of a cluster, by their small letters.
  const written = client instanceof Cluster ? (name: string) => name.toLowerCase() : (name: string) => name
  return async (name, ...args) => {
    try {
      return await answered<unknown>(client[call](written(name), ...args), timeoutMs)
    } catch (error) {
      throw toRedisError(error, name)
    }
  }
}

async function sendAll(
  client: Client | Cluster,
  timeoutMs: number,
  commands: readonly (readonly [name: string, ...args: RedisArg[]])[]
): Promise<readonly RedisReply[]> {
  if (commands.length === 0) return []
  if (client instanceof Cluster) return await sendEach(createSend(client, timeoutMs), commands)
  const pipeline = client.pipeline()
  for (const [name, ...args] of commands) pipeline.call(name, ...args)
  const replies = await answered(pipeline.exec(), timeoutMs).catch((error: unknown) => {
    throw toRedisError(error, 'pipeline')
  })
  return commands.map(([name], index) => {
    const [error, value] = replies?.[index] ?? [new Error('no reply')]
    return error === null ? { ok: true, value } : { ok: false, error: toRedisError(error, name) }
  })
}

/** A pipeline of the client takes commands of one node alone, and cannot follow a slot that moves. */
async function sendEach(
  send: Redis['command'],
  commands: readonly (readonly [name: string, ...args: RedisArg[]])[]
): Promise<readonly RedisReply[]> {
  const reply = async ([name, ...args]: readonly [name: string, ...args: RedisArg[]]): Promise<RedisReply> => {
    try {
      return { ok: true, value: await send(name, ...args) }
    } catch (error) {
      return { ok: false, error: toRedisError(error, name) }
    }
  }
  return await Promise.all(commands.map(reply))
}

/**
 * `reply`, or an error after `timeoutMs` of silence. Whatever has arrived by then is read first: a process that was
 * paused for that long (garbage, a CPU quota) finds the reply waiting, and must not take its own pause for Redis's.
 */
function answered<T>(reply: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`no reply within ${timeoutMs} ms`))
    const timer = systemClock.timer(timeoutMs, () => setImmediate(giveUp))
    reply.then(resolve, reject).finally(() => timer[Symbol.dispose]())
  })
}

/** Behind this address is a replica by now: whoever resolves it anew finds the master. */
function reconnectOnError(error: Error): boolean {
  return error.message.startsWith('READONLY')
}

function createClient(target: RedisTarget, commandTimeoutMs: number): Client | Cluster {
  const common = {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 1_000,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000),
    ...(target.tls ? { tls: {} } : {}),
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password })
  } satisfies ClientOptions
  switch (target.kind) {
    case 'single':
      return new Client({ ...common, reconnectOnError, host: target.host, port: target.port, db: target.db })
    case 'sentinel':
      return new Client({
        ...common,
        reconnectOnError,
        sentinels: target.hosts.map(({ host, port }) => ({ host, port })),
        name: target.master,
        role: target.replicas ? 'slave' : 'master',
        db: target.db,
        // A master that froze keeps its connections: the sentinels have to tell of the new one.
        failoverDetector: true
      })
    case 'cluster': {
      const nodes = target.hosts.map(({ host, port }) => ({ host, port }))
      const { lazyConnect: _lazy, enableOfflineQueue: _queue, retryStrategy: _retry, ...redisOptions } = common
      return new Cluster(nodes, {
        lazyConnect: true,
        enableOfflineQueue: false,
        slotsRefreshTimeout: 2_000,
        // While a slot moves its keys are asked for again and again; whoever waits does so better in a place that knows why.
        maxRedirections: 4,
        scaleReads: target.replicas ? 'slave' : 'master',
        retryDelayOnTryAgain: 50,
        redisOptions
      })
    }
  }
}
