// The same rows again: replies that never arrive after the server has the rows, two loaders that both own everything and
// freeze now and then, and the whole topic replayed after rows were deleted.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import { unique } from '../../unique.ts'
import type { FaultCase } from '../fault-case.ts'
import { openTcpProxy } from '../tcp-proxy.ts'
import { metricOf, ofOneProcess, openWarehouseRig } from './rig.ts'

const replies = 60

export const repliesEaten: FaultCase = {
  name: 'replies-eaten',
  title: `${replies} replies eaten after ClickHouse has the rows, of any table`,
  counters: ['replies eaten'],
  async run(context) {
    const url = new URL(context.stack.endpoints.CLICKHOUSE_URL)
    await using proxy = await openTcpProxy({ target: { host: url.hostname, port: Number(url.port) } })
    url.port = String(proxy.port)
    await using rig = await openWarehouseRig(context)
    const end = rig.keepWriting(300)
    const { service, group } = await rig.startLoader({ env: { CLICKHOUSE_URL: url.href, BATCH_SIZE: '50' } })
    // One of three, so that batches come through in between and the waits stay short.
    let inserts = 0
    const isInsert = (chunk: Buffer): boolean =>
      /^POST \S*INSERT/.test(chunk.subarray(0, 4_096).toString('latin1')) && ++inserts % 3 === 0
    const eaten = proxy.add({ kind: 'eat-reply', when: isInsert, times: replies })
    const all = (): boolean => eaten.acted() >= replies
    await eventually(`${replies} replies to be eaten`, all, { timeoutMs: 300_000, intervalMs: 200 })
    context.counters.count('replies eaten', eaten.acted())
    await end()
    return ofOneProcess(await rig.judge([group]), service.starts)
  }
}

export const twoLoaders: FaultCase = {
  name: 'two-loaders',
  title: 'two loaders of every partition, frozen by SIGSTOP past their session in turn, under load',
  counters: ['rows of the first', 'rows of the second', 'frozen'],
  async run(context) {
    const { counters, seed } = context
    const random = createRandom(`loaders-${seed}`)
    await using rig = await openWarehouseRig(context)
    const end = rig.keepWriting()
    const group = unique('load')
    // The third one shares the group of the first: it takes over what that one still believes to own.
    const loaders = [await rig.startLoader({ group }), await rig.startLoader(), await rig.startLoader({ group })]
    for (let freeze = 0; freeze < 4; freeze++) {
      await rig.moves(200 + random.below(300))
      const victim = loaders[freeze % 2]?.service
      victim?.kill('SIGSTOP')
      counters.count('frozen')
      await systemClock.sleep(freeze < 2 ? 7_500 : 500 + random.below(1_000))
      victim?.kill('SIGCONT')
    }
    await rig.moves(300)
    await end()
    const [first, second] = loaders
    const groups = loaders.slice(0, 2).map((loader) => loader.group)
    const verdict = await rig.judge(groups, { timeoutMs: 120_000 })
    const rows = 'analytics_loader_rows_inserted_total'
    if (first !== undefined) counters.count('rows of the first', await metricOf(first.service, rows))
    if (second !== undefined) counters.count('rows of the second', await metricOf(second.service, rows))
    return verdict
  }
}

/** The bug that names its batches to the server and trusts it to know what it still has. */
export const trustsTokens = 'loader-trusts-tokens'

const batch = 500
const batches = 8

export const topicReplayed: FaultCase = {
  name: 'topic-replayed',
  title: 'rows deleted by hand, then the full topic replayed twice',
  counters: ['rows deleted', 'rows loaded again'],
  async run(context) {
    const { counters, planted } = context
    await using rig = await openWarehouseRig(context)
    const { clickhouse, project } = rig
    if (planted === trustsTokens)
      await clickhouse.command('ALTER TABLE events_raw MODIFY SETTING non_replicated_deduplication_window = 10000')
    // Full batches only, so that every replay cuts the same ones.
    await rig.write(batch * batches, 0)
    const env = { BATCH_SIZE: String(batch), FLUSH_AFTER_MS: '30s' }
    const first = await rig.startLoader({ env })
    await rig.caughtUp(first.group)
    await first.end()
    await clickhouse.command(`ALTER TABLE events_raw DELETE WHERE projectId = '${project}'`, {
      settings: { mutations_sync: 1 }
    })
    const [left] = await clickhouse.rows<{ rows: string }>(
      'SELECT count() AS rows FROM events_raw WHERE projectId = {project:String}',
      { project }
    )
    counters.count('rows deleted', batch * batches - Number(left?.rows))
    let last = first
    for (let replay = 0; replay < 2; replay++) {
      last = await rig.startLoader({ env })
      await rig.caughtUp(last.group)
      counters.count('rows loaded again', await metricOf(last.service, 'analytics_loader_rows_inserted_total'))
      await last.end()
    }
    if (planted === trustsTokens)
      await clickhouse.command('ALTER TABLE events_raw MODIFY SETTING non_replicated_deduplication_window = 0')
    return await rig.judge([last.group])
  }
}
