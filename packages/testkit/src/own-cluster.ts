// A Redis Cluster of a test's own: three servers that share the slots, and the steps of moving a slot, one at a time, so
// that a test can do its work in between.
import { freePorts } from '@millrace/local-stack/listen'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from './eventually.ts'
import { openOwnRedis } from './own-redis.ts'
import type { OwnRedis } from './own-redis.ts'

/** A slot on its way; the other slots stay where they are. */
export interface SlotMove {
  /** Moves at most `limit` keys to the new node; resolves with the keys that are left. */
  moveKeys(limit: number): Promise<number>
  /** Gives the slot to the new node; all keys must have moved. */
  end(): Promise<void>
}

export interface OwnCluster extends AsyncDisposable {
  /** `redis+cluster://` with all three. */
  readonly url: string
  readonly nodes: readonly OwnRedis[]
  /** A client of each node, which follows no redirections. */
  readonly direct: readonly Redis[]
  /** Index of the node that holds `key`. */
  ownerOf(key: string): Promise<number>
  /** Begins to move the slot of `key` to the node `to`. */
  startMove(key: string, to: number): Promise<SlotMove>
}

const starts = [0, 5_461, 10_923, 16_384] as const

/** Starts three nodes with `args` and waits until they agree on the slots. Disposing ends them. */
export async function openOwnCluster(args: readonly string[] = []): Promise<OwnCluster> {
  await using stack = new AsyncDisposableStack()
  // Without a port of its own the bus of a node takes the one 10,000 above the node's, which nobody has set aside.
  const busPorts = await freePorts(starts.length - 1)
  const start = async (busPort: number): Promise<OwnRedis> =>
    stack.use(await openOwnRedis(['--cluster-enabled', 'yes', '--cluster-port', String(busPort), ...args]))
  const nodes = await Promise.all(busPorts.map(start))
  const log = createSilentLogger()
  const connect = async ({ url }: OwnRedis): Promise<Redis> =>
    stack.use(await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))
  const direct = await Promise.all(nodes.map(connect))
  const at = (index: number): Redis => direct[index] ?? fail(index)
  for (const [index, node] of direct.entries()) {
    await node.command('CLUSTER', 'ADDSLOTSRANGE', starts[index] ?? 0, (starts[index + 1] ?? 0) - 1)
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
  }
  for (const [index, { port }] of nodes.entries())
    if (index > 0) await at(0).command('CLUSTER', 'MEET', '127.0.0.1', port, busPorts[index] ?? 0)
  await eventually('the cluster is ready', async () => (await Promise.all(direct.map(isReady))).every(Boolean), {
    timeoutMs: 40_000
  })
  const ids = await Promise.all(direct.map(async (node) => String(await node.command('CLUSTER', 'MYID'))))
  const slotOf = async (key: string): Promise<number> => Number(await at(0).command('CLUSTER', 'KEYSLOT', key))
  const ownerOf = async (key: string): Promise<number> => {
    const slot = await slotOf(key)
    const owned = await Promise.all(direct.map(async (node) => ownsSlot(await node.command('CLUSTER', 'NODES'), slot)))
    return owned.indexOf(true)
  }
  const ends = stack.move()
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    direct,
    ownerOf,
    async startMove(key, to) {
      const [slot, from] = [await slotOf(key), await ownerOf(key)]
      await at(to).command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from] ?? '')
      await at(from).command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to] ?? '')
      return {
        async moveKeys(limit) {
          const keys = (await at(from).command('CLUSTER', 'GETKEYSINSLOT', slot, limit)) as string[]
          const port = nodes[to]?.port ?? 0
          if (keys.length > 0) await at(from).command('MIGRATE', '127.0.0.1', port, '', 0, 5_000, 'KEYS', ...keys)
          return Number(await at(from).command('CLUSTER', 'COUNTKEYSINSLOT', slot))
        },
        async end() {
          for (const index of [to, from]) await at(index).command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[to] ?? '')
        }
      }
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync()
  }
}

async function isReady(node: Redis): Promise<boolean> {
  const info = String(await node.command('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
}

/** Whether the line of the node itself names a range with `slot`. */
function ownsSlot(nodes: unknown, slot: number): boolean {
  const own = String(nodes)
    .split('\n')
    .find((line) => line.includes('myself'))
  const ranges = own?.split(' ').slice(8) ?? []
  return ranges.some((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return first !== undefined && last !== undefined && slot >= first && slot <= last
  })
}

function fail(index: number): never {
  throw new Error(`there is no node ${index}`)
}
