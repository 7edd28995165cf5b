// The epoch in force on a real Redis and PostgreSQL: what rows and Redis say together decides, whoever asks.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import { AppError, createManualClock } from '@millrace/kernel'
import type { PartitionRange } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createEpochKeeper } from '../src/epoch-keeper.ts'
import type { EpochKeeperDeps } from '../src/epoch-keeper.ts'
import type { StartAdmin } from '../src/epoch-start.ts'
import { insertEpoch, listEpochs, moveEpoch } from '../src/state-epochs.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const hour = 3_600_000
const noon = Date.UTC(2026, 5, 1, 12)
let postgres: Postgres
let redis: Redis
let epochs: RedisEpochs

beforeAll(async () => {
  const { DATABASE_URL, REDIS_STATE_URL } = testEndpoints()
  postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 6, log, name: 'test' }))
  redis = stack.use(await openRedis({ url: REDIS_STATE_URL, role: 'state', log, requirePolicy: 'now' }))
  epochs = createRedisEpochs(redis)
})
afterAll(() => stack.disposeAsync())

/** A log of two partitions with a record every minute up to noon; the group has committed all but the last `behind`. */
function logOf(behind: number, start = 0n): StartAdmin {
  const count = 600n
  const appendedFrom = noon - Number(count) * 60_000
  const range = (partition: number): PartitionRange => ({ topic: 't', partition, start, end: count })
  return {
    ranges: async () => [range(0), range(1)],
    groupOffsets: async () => new Map(behind < 0 ? [] : [[0, count - BigInt(behind)]]),
    offsetsAt: async (_topic, timeMs) => {
      const offset = BigInt(Math.max(0, Math.ceil((timeMs - appendedFrom) / 60_000)))
      const inside = offset < start ? start : offset > count ? count : offset
      return new Map([0, 1].map((partition) => [partition, inside]))
    }
  }
}

function depsWith(over: Partial<EpochKeeperDeps> = {}): EpochKeeperDeps {
  const clock = createManualClock(noon + 60_000)
  const base = { postgres, epochs, admin: logOf(0), clock, timing: liveTiming, group: 'aggregate', actor: 'test', log }
  return { ...base, ...over }
}

async function lose(project: string): Promise<void> {
  const own = [1, 2].flatMap((epoch) => [`meta:{${project}}:${epoch}`, `pos:{${project}}:${epoch}`])
  await redis.command('DEL', `epoch:{${project}}`, `epochs:{${project}}`, ...own)
}

const rowsOf = async (project: string) =>
  (await listEpochs(postgres, project)).map(({ epoch, state, reason }) => `${epoch} ${state} ${reason}`)

describe('the epoch in force', () => {
  it('is epoch 1 from the first offset for a new project, and the same one for many who ask at once', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith())
    for (const each of await Promise.all(Array.from({ length: 6 }, () => inForce(project))))
      expect(each).toMatchObject({ epoch: 1, completeFromMs: 0, torn: undefined })
    const { partitions } = await inForce(project)
    expect(partitions.map(({ position }) => position)).toEqual([0n, 0n])
    expect(await rowsOf(project)).toEqual(['1 live first'])
  })

  it('is a new one when the state is lost, from where the group had come, with the days queued for a recount', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith({ admin: logOf(150) }))
    await inForce(project)
    await postgres.query(`UPDATE state_epochs SET created_at = now() - interval '1 day' WHERE project_id = $1`, [
      project
    ])
    await lose(project)
    const found = await inForce(project)
    // 150 minutes before noon are not committed: the record of 09:30, so 09:00 is the first hour that is whole.
    expect(found).toMatchObject({ epoch: 2, completeFromMs: noon - 3 * hour })
    expect(found.partitions.map(({ position }) => position)).toEqual([410n, 410n])
    expect(await rowsOf(project)).toEqual(['1 live first', '2 live lost'])
    const days = await postgres.query('SELECT day::text, reason FROM recount_days WHERE project_id = $1 ORDER BY day', [
      project
    ])
    expect(days).toEqual([
      { day: '2026-05-31', reason: 'lost' },
      { day: '2026-06-01', reason: 'lost' }
    ])
  })

  it('takes up a row that somebody wrote and did not make true, instead of another number', async () => {
    const project = uniqueProject('epochs')
    const row = {
      projectId: project,
      startOffsets: [7n, 0n],
      completeFromMs: hour,
      reason: 'first',
      actor: 'x'
    } as const
    await insertEpoch(postgres, { ...row, state: 'live' })
    const found = await createEpochKeeper(depsWith())(project)
    expect(found).toMatchObject({ epoch: 1, completeFromMs: hour })
    expect(found.partitions[0]?.position).toBe(7n)
    expect(await rowsOf(project)).toEqual(['1 live first'])
  })

  it('writes the row of a state that is older than the rows', async () => {
    const project = uniqueProject('epochs')
    await epochs.init(project, 1, { startOffsets: [0n], completeFromMs: 0 })
    expect(await createEpochKeeper(depsWith())(project)).toMatchObject({ epoch: 1 })
    expect(await rowsOf(project)).toEqual(['1 live first'])
  })

  it('is the one that a decided flip leads to, and goes on unsealed while that build is behind', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith())
    await inForce(project)
    const row = {
      projectId: project,
      startOffsets: [5n, 0n],
      completeFromMs: 0,
      reason: 'rebuild',
      actor: 'x'
    } as const
    const { epoch } = await insertEpoch(postgres, { ...row, state: 'building' })
    await epochs.beginRebuild(project, epoch, row)
    expect(await inForce(project)).toMatchObject({ epoch: 1 })
    await moveEpoch(postgres, { projectId: project, epoch }, ['building'], 'flipping')
    expect(await inForce(project)).toMatchObject({ epoch: 2 })
    expect(await rowsOf(project)).toEqual(['1 live first', '2 live rebuild'])

    const next = await insertEpoch(postgres, { ...row, startOffsets: [4n, 0n], state: 'building' })
    await epochs.beginRebuild(project, next.epoch, next)
    await moveEpoch(postgres, next, ['building'], 'flipping')
    expect(await inForce(project)).toMatchObject({ epoch: 2 })
    expect((await epochs.look(project)).epochs.get(2)?.stage).toBe('live')
    expect(await rowsOf(project)).toEqual(['1 live first', '2 live rebuild', '3 flipping rebuild'])
  })

  it('is none while Redis is back before a flip to an epoch that is behind, and the words say what to do', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith())
    await inForce(project)
    const row = { startOffsets: [0n, 0n], completeFromMs: 0, reason: 'rebuild', actor: 'x' } as const
    const { epoch } = await insertEpoch(postgres, { ...row, projectId: project, state: 'live' })
    await epochs.beginRebuild(project, epoch, row)
    await redis.command('HSET', `pos:{${project}}:1`, 'p0', '5')
    await expect(inForce(project)).rejects.toMatchObject({
      code: 'PIPE_LIVE_STATE',
      message: expect.stringContaining('epoch new') as string
    })
    expect((await epochs.look(project)).epochs.get(1)?.stage).toBe('sealing')
  })

  it('settles a flip whose builder ended behind it, once: days are queued, and what is over is deleted', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith())
    await inForce(project)
    const half = noon + hour
    const row = { startOffsets: [0n, 0n], completeFromMs: half, reason: 'rebuild', actor: 'x' } as const
    const { epoch } = await insertEpoch(postgres, { ...row, projectId: project, state: 'building' })
    await epochs.beginRebuild(project, epoch, row)
    await epochs.seal(project)
    await moveEpoch(postgres, { projectId: project, epoch }, ['building'], 'flipping')
    expect(await epochs.flip(project, epoch)).toEqual({ kind: 'ok' })
    await Promise.all([inForce(project), inForce(project)])
    expect(await rowsOf(project)).toEqual(['1 live first', '2 live rebuild'])
    expect([...(await epochs.look(project)).epochs.keys()]).toEqual([2])
    const days = await postgres.query(`SELECT day::text, reason FROM recount_days WHERE project_id = $1`, [project])
    expect(days).toEqual([{ day: '2026-06-01', reason: 'rebuild' }])
    const flips = await postgres.query(
      `SELECT subject FROM audit_log WHERE project_id = $1 AND action = 'epoch.flip'`,
      [project]
    )
    expect(flips).toEqual([{ subject: '2' }])
  })

  it('deletes the keys of a build whose row says that it was given up', async () => {
    const project = uniqueProject('epochs')
    const inForce = createEpochKeeper(depsWith())
    await inForce(project)
    const row = { startOffsets: [0n, 0n], completeFromMs: 0, reason: 'rebuild', actor: 'x' } as const
    const { epoch } = await insertEpoch(postgres, { ...row, projectId: project, state: 'building' })
    await epochs.beginRebuild(project, epoch, row)
    await inForce(project)
    expect([...(await epochs.look(project)).epochs.keys()]).toEqual([1, 2])
    await moveEpoch(postgres, { projectId: project, epoch }, ['building'], 'aborted')
    await inForce(project)
    expect([...(await epochs.look(project)).epochs.keys()]).toEqual([1])
  })

  it('goes on while PostgreSQL is away, but does not begin without it', async () => {
    const project = uniqueProject('epochs')
    const away: Postgres = {
      ...postgres,
      query: () => Promise.reject(new AppError('PIPE_POSTGRES_UNAVAILABLE', 'away'))
    }
    const blind = createEpochKeeper(depsWith({ postgres: away }))
    await expect(blind(project)).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    await createEpochKeeper(depsWith())(project)
    expect(await blind(project)).toMatchObject({ epoch: 1 })
  })

  it('is unsealed when no flip follows its seal for half a minute', async () => {
    const project = uniqueProject('epochs')
    const clock = createManualClock(noon)
    const inForce = createEpochKeeper(depsWith({ clock }))
    await inForce(project)
    await epochs.seal(project)
    const stage = async () => (await epochs.look(project)).epochs.get(1)?.stage
    await inForce(project)
    await clock.advance(29_999)
    await inForce(project)
    expect(await stage()).toBe('sealing')
    await clock.advance(1)
    await inForce(project)
    expect(await stage()).toBe('live')
  })
})
