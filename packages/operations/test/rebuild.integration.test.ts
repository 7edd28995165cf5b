// A build of the live state beside the one in force, on real Kafka, Redis and PostgreSQL, with events coming in all the
// time: what is flipped to equals a recount of the log.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FoldOptions } from '@millrace/aggregation/fold'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { createEpochKeeper } from '../src/epoch-keeper.ts'
import { startFill } from '../src/fill-epoch.ts'
import { fillAndFlip, fillUntilCaughtUp } from '../src/flip-epoch.ts'
import type { BuildDeps, BuildProgress } from '../src/flip-epoch.ts'
import { abortBuild, beginBuild, openBuild, planRebuild } from '../src/rebuild.ts'
import { replaceEpoch } from '../src/replace-epoch.ts'
import { listEpochs, moveEpoch } from '../src/state-epochs.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const hour = 3_600_000
let kafka: Kafka
let admin: Admin
let producer: Producer
let redis: Redis
let deps: BuildDeps

beforeAll(async () => {
  const { DATABASE_URL, REDIS_STATE_URL } = testEndpoints()
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  const postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 4, log, name: 'test' }))
  redis = stack.use(
    await openRedis({ url: REDIS_STATE_URL, role: 'state', log, requirePolicy: 'now', commandTimeoutMs: 5_000 })
  )
  const options: FoldOptions = {
    timing: liveTiming,
    metrics: builtInMetrics(['purchase']),
    conversionTypes: new Set(['purchase'])
  }
  deps = {
    postgres,
    epochs: createRedisEpochs(redis),
    apply: createRedisApply(redis),
    admin,
    producer,
    client: kafka.consumers,
    clock: systemClock,
    timing: liveTiming,
    optionsOf: () => options,
    callId: randomUUID,
    actor: 'cli:test',
    log,
    settings: { topicRefreshMs: 60_000 },
    pollMs: 100,
    caughtUp: 50
  }
})
afterAll(() => stack.disposeAsync())

const at = Date.now() - 60_000

/** Events with these numbers; the same number is a copy. */
async function send(project: string, from: number, count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, index): ProduceRecord => {
    const number = from + index
    const event = {
      eventId: `e-${number}`,
      eventType: number % 3 === 0 ? 'purchase' : 'page_view',
      userId: `u${number % 7}`,
      sessionId: `s${number % 5}`,
      timestamp: new Date(at + (number % 1_000)).toISOString(),
      properties: { revenue: number }
    }
    return { partition: number % 4, key: event.eventId, value: Buffer.from(JSON.stringify(event)) }
  })
  const outcomes = await producer.produce(rawTopic(project), records)
  expect(outcomes.filter(({ kind }) => kind !== 'acked')).toEqual([])
}

/** Events, purchases and revenue in the hours around the events, of the epoch in force. */
async function counted(project: string) {
  const hours = [0, 1].map((index) => at - (at % hour) + index * hour)
  const names = hours.flatMap((start) => [`events:1h:${start}`, `revenue:1h:${start}`])
  const { epoch, windows } = await createWindowReader(redis).read(project, names)
  const found = { epoch, events: 0, purchases: 0, revenue: 0n }
  for (const { name, values } of windows.values()) {
    if (name.startsWith('revenue')) found.revenue += (values.get('')?.sum ?? 0n) / 1_000_000n
    else {
      found.events += values.get('')?.count ?? 0
      found.purchases += values.get('["purchase"]')?.count ?? 0
    }
  }
  return found
}

function recount(count: number) {
  const purchases = Array.from({ length: Math.ceil(count / 3) }, (_, index) => index * 3)
  return { events: count, purchases: purchases.length, revenue: BigInt(purchases.reduce((sum, each) => sum + each, 0)) }
}

/** A project with epoch 1, filled by what stands in for the aggregator. */
async function newProject() {
  const project = uniqueProject('rebuild')
  await createProjectTopics(admin, project)
  const { timing, clock, postgres, epochs, actor } = deps
  const inForce = createEpochKeeper({ postgres, epochs, admin, clock, timing, group: project, actor, log })
  await inForce(project)
  return { project, inForce }
}

describe('a rebuilt epoch', () => {
  it('equals a recount of the log when it is flipped to while events come in, and so does what comes after', async () => {
    const { project } = await newProject()
    await send(project, 0, 3_000)
    await using _live = await startFill(deps, project, 1)
    let sent = 3_000
    const traffic = new AbortController()
    const sending = (async () => {
      for (; !traffic.signal.aborted; sent += 20) {
        // Half of them are copies of what was sent long ago.
        await send(project, sent, 20)
        await send(project, sent - 2_500, 20)
      }
    })()
    const plan = await planRebuild(deps, { projectId: project })
    expect(plan.refusals).toEqual([])
    const row = await beginBuild(deps, plan)
    const steps: BuildProgress[] = []
    const flipped = await fillAndFlip({ ...deps, onProgress: (each) => void steps.push(each) }, row)
    expect(flipped).toMatchObject({ projectId: project, epoch: 2, completeFromMs: plan.start.completeFromMs })
    expect(flipped.sealedMs).toBeLessThan(10_000)
    expect([...new Set(steps.map(({ step }) => step))]).toEqual(['reading', 'caught-up', 'sealed', 'flipped'])
    await using _next = await startFill(deps, project, 2)
    const sentAtFlip = sent
    await eventually('events come in after the flip, too', () => sent >= sentAtFlip + 100)
    traffic.abort()
    await sending
    await eventually('all that was sent is counted', async () => (await counted(project)).events >= sent)
    expect(await counted(project)).toEqual({ epoch: 2, ...recount(sent) })
    expect((await deps.epochs.look(project)).epochs.has(1)).toBe(false)
    expect((await listEpochs(deps.postgres, project)).map(({ state }) => state)).toEqual(['live', 'live'])
    const audit = await deps.postgres.query('SELECT action, subject FROM audit_log WHERE project_id = $1 ORDER BY id', [
      project
    ])
    expect(audit).toEqual([
      { action: 'epoch.new', subject: '1' },
      { action: 'epoch.new', subject: '2' },
      { action: 'epoch.flip', subject: '2' }
    ])
  })

  it('may be gone on with, is one at a time, and leaves nothing when it is given up', async () => {
    const { project, inForce } = await newProject()
    await send(project, 0, 500)
    const plan = await planRebuild(deps, { projectId: project })
    const row = await beginBuild(deps, plan)
    await expect(beginBuild(deps, plan)).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
    expect((await planRebuild(deps, { projectId: project })).refusals[0]).toContain('epoch 2 is under way')
    expect(await fillUntilCaughtUp(deps, row)).toMatchObject({ step: 'caught-up', records: 500n })
    expect((await openBuild(deps, project)).epoch).toBe(2)
    expect((await inForce(project)).epoch).toBe(1)
    expect(await abortBuild(deps, project)).toMatchObject({ epoch: 2, state: 'aborted' })
    expect([...(await deps.epochs.look(project)).epochs.keys()]).toEqual([1])
    await expect(openBuild(deps, project)).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    await expect(abortBuild(deps, project)).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    expect((await beginBuild(deps, await planRebuild(deps, { projectId: project }))).epoch).toBe(3)
  })

  it('is in force and takes events when an owner finished the decided flip first', async () => {
    const { project, inForce } = await newProject()
    await send(project, 0, 60)
    const row = await beginBuild(deps, await planRebuild(deps, { projectId: project }))
    const seal = async (of: string) => {
      await moveEpoch(deps.postgres, row, ['building'], 'flipping')
      await inForce(of)
      return await deps.epochs.seal(of)
    }
    expect(await fillAndFlip({ ...deps, epochs: { ...deps.epochs, seal } }, row)).toMatchObject({ epoch: 2 })
    const { pointer, epochs } = await deps.epochs.look(project)
    expect([pointer, epochs.get(2)?.stage]).toEqual([2, 'live'])
  })

  it('takes the place of a state whose log was created anew, at once', async () => {
    const project = uniqueProject('rebuild')
    await createProjectTopics(admin, project)
    await send(project, 0, 60)
    // What stands beyond the end can only be of another log.
    await deps.epochs.init(project, 1, { startOffsets: [900n, 900n, 900n, 900n], completeFromMs: 0 })
    const { timing, clock, postgres, epochs, actor } = deps
    const inForce = createEpochKeeper({ postgres, epochs, admin, clock, timing, group: project, actor, log })
    await inForce(project)
    const plan = await planRebuild(deps, { projectId: project })
    expect([plan.isOtherLog, plan.refusals]).toEqual([true, []])
    expect(await replaceEpoch(deps, plan)).toMatchObject({ epoch: 2 })
    const found = await inForce(project)
    expect([found.epoch, found.partitions.map(({ position }) => position)]).toEqual([2, [0n, 0n, 0n, 0n]])
    await expect(replaceEpoch(deps, { ...plan, refusals: ['no'] })).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  })

  it('does not begin when a second state does not fit, or the log is too short', async () => {
    const { project } = await newProject()
    await send(project, 0, 50)
    const seen = await deps.epochs.look(project)
    const full = { ...deps.epochs, look: async () => ({ ...seen, memory: { usedBytes: 60, maxBytes: 100 } }) }
    const short = {
      ...deps.admin,
      ranges: async (topic: string) => (await admin.ranges(topic)).map((each) => ({ ...each, start: 5n })),
      offsetsAt: async (topic: string, timeMs: number) =>
        new Map([...(await admin.offsetsAt(topic, timeMs))].map(([key, value]) => [key, value > 5n ? value : 5n]))
    }
    const { refusals, start } = await planRebuild({ ...deps, epochs: full, admin: short }, { projectId: project })
    expect(refusals).toEqual([
      'Redis uses 60 of 100 bytes; a second state needs half of them free',
      expect.stringContaining(
        `windows would be whole from ${new Date(start.completeFromMs).toISOString()} on`
      ) as string
    ])
    expect(start.completeFromMs).toBeGreaterThan(start.wantedFromMs)
    await expect(
      beginBuild(deps, await planRebuild({ ...deps, epochs: full }, { projectId: project }))
    ).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
    const later = await planRebuild({ ...deps, admin: short }, { projectId: project, acceptLater: true })
    expect(later.refusals).toEqual([])
    await expect(planRebuild(deps, { projectId: project, fromMs: 5 })).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT'
    })
  })
})
