// A Redis of a test's own that fails over: a master, a replica and one sentinel that decides alone, in about a second.
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from './eventually.ts'
import { openOwnRedis } from './own-redis.ts'
import type { OwnRedis } from './own-redis.ts'

export interface OwnSentinel extends AsyncDisposable {
  /** `redis+sentinel://` of the sentinel. */
  readonly url: string
  readonly master: OwnRedis
  readonly replica: OwnRedis
  /** A client of the replica. */
  readonly replicaClient: Redis
  /** Resolves when the sentinel names the replica as the master. */
  failedOver(): Promise<void>
}

const name = 'state'

/** Starts all three with `args` for the servers, and waits until the replica follows. Disposing ends them. */
export async function openOwnSentinel(args: readonly string[] = []): Promise<OwnSentinel> {
  await using stack = new AsyncDisposableStack()
  // A sentinel has no policy to look at.
  const connect = async ({ url }: OwnRedis): Promise<Redis> =>
    stack.use(await openRedis({ url, role: 'dedup', log: createSilentLogger(), requirePolicy: 'when-reachable' }))
  const master = stack.use(await openOwnRedis(args))
  const replica = stack.use(await openOwnRedis([...args, '--replicaof', `127.0.0.1 ${master.port}`]))
  const sentinel = stack.use(
    await openOwnRedis(
      ['--sentinel'],
      [
        `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
        `sentinel down-after-milliseconds ${name} 600`,
        `sentinel failover-timeout ${name} 3000`
      ]
    )
  )
  const replicaClient = await connect(replica)
  await eventually('the replica follows', async () => {
    return String(await replicaClient.command('INFO', 'replication')).includes('master_link_status:up')
  })
  const asked = await connect(sentinel)
  await eventually(
    'the sentinel knows the replica',
    async () => {
      return String(await asked.command('SENTINEL', 'REPLICAS', name)).includes(String(replica.port))
    },
    { timeoutMs: 40_000 }
  )
  const ends = stack.move()
  return {
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/${name}`,
    master,
    replica,
    replicaClient,
    async failedOver() {
      const isNamed = async (): Promise<boolean> =>
        String(await asked.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)).includes(String(replica.port))
      await eventually('the replica is the master', isNamed, { timeoutMs: 40_000 })
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync()
  }
}
