// Replays on real Kafka and PostgreSQL, read by workers in this process: what is read again, where the live group stands
// meanwhile and afterwards, and what is left when whoever began it dies in between.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGroupWorker, topicFamily } from '@millrace/consumer'
import type { Consumer } from '@millrace/consumer'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { adminLater } from '@millrace/kafka'
import type { Admin, Kafka, Producer } from '@millrace/kafka'
import { AppError, done, systemClock } from '@millrace/kernel'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { trimLog } from '@millrace/testkit/trim-log'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { abortReplay, resumeReplay, startReplay } from '../src/replay.ts'
import type { ReplayDeps } from '../src/replay.ts'
import { createReplayDesk } from '../src/replay-orders.ts'
import { planReplay } from '../src/replay-plan.ts'
import type { GroupPlan, ReplayRequest } from '../src/replay-plan.ts'
import { findReplay } from '../src/replay-rows.ts'
import type { Replay } from '../src/replay-rows.ts'
import { migrate } from '../src/migrate.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let postgres: Postgres
let deps: ReplayDeps

beforeAll(async () => {
  const { DATABASE_URL, DATABASE_DIRECT_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 4, log, name: 'test' }))
  deps = { postgres, admin, clock: systemClock, actor: 'test', holder: unique('holder') }
})
afterAll(() => stack.disposeAsync())

const partitions = [0, 1, 2, 3]

interface World extends AsyncDisposable {
  readonly project: string
  readonly topic: string
  readonly group: string
  /** Handled so far, as `partition:offset`, in the order of the calls. */
  readonly live: string[]
  readonly replayed: string[]
  readonly consumer: Consumer
  write(perPartition: number): Promise<void>
  committed(): Promise<readonly bigint[]>
  plan(change?: Partial<ReplayRequest>): Promise<GroupPlan>
  ended(replay: Replay): Promise<void>
}

/** A project of its own with a worker; `slowly` holds each call of a replay back. */
async function openWorld(slowly = 0): Promise<World> {
  const project = uniqueProject('replay')
  await createProjectTopics(admin, project)
  const topic = rawTopic(project)
  const group = unique('load')
  const live: string[] = []
  const replayed: string[] = []
  const placesInto =
    (into: string[], waitMs: number) =>
    async ({ items }: { readonly items: readonly string[] }) => {
      if (waitMs > 0) await systemClock.sleep(waitMs)
      into.push(...items)
      return items.map(() => done)
    }
  const belongs = (name: string): boolean => name === topic
  const consumer = await startGroupWorker<string>(
    {
      name: 'worker',
      group,
      topics: topicFamily({ admin, belongs }),
      policy: { maxRows: 20, maxBytes: 1_000_000, maxAgeMs: 50, scope: 'process' },
      decode: ({ partition, offset }) => ({ kind: 'item', item: `${partition}:${offset}` }),
      handle: placesInto(live, 0)
    },
    {
      client: kafka.consumers,
      letters: { producer, topicFor: () => dlqTopic(project), appVersion: 'test' },
      log,
      registry: createRegistry(),
      clock: systemClock
    },
    {
      desk: createReplayDesk({ postgres, admin: adminLater(kafka), group, belongs, actor: 'test-worker' }),
      askEveryMs: 100,
      replaying: { handle: placesInto(replayed, slowly) }
    }
  )
  const committed = async (): Promise<readonly bigint[]> => {
    const offsets = await admin.groupOffsets(group, topic)
    return partitions.map((partition) => offsets.get(partition) ?? -1n)
  }
  return {
    project,
    topic,
    group,
    live,
    replayed,
    consumer,
    committed,
    async write(perPartition) {
      const records = partitions.flatMap((partition) =>
        Array.from({ length: perPartition }, () => ({ partition, key: null, value: Buffer.from('x') }))
      )
      const outcomes = await producer.produce(topic, records)
      expect(outcomes.every(({ kind }) => kind === 'acked')).toBe(true)
      const ends = (await admin.ranges(topic)).map(({ end }) => end)
      await eventually(`${group} at the end`, async () => expect(await committed()).toEqual(ends), {
        timeoutMs: 40_000,
        intervalMs: 100
      })
    },
    plan: (change) =>
      planReplay(
        { admin, manifest: createArchiveManifest(postgres), log: undefined },
        {
          projectId: project,
          kind: 'load',
          group,
          mode: 'beside',
          from: { kind: 'all' },
          to: { kind: 'all' },
          limit: 1_000n,
          ...change
        }
      ),
    ended: ({ id }) =>
      eventually(`replay ${id} is done`, async () => expect((await findReplay(postgres, id)).state).toBe('done'), {
        timeoutMs: 40_000,
        intervalMs: 50
      }),
    [Symbol.asyncDispose]: async () => consumer[Symbol.asyncDispose]()
  }
}

const places = (from: number, to: number): string[] =>
  partitions.flatMap((partition) => Array.from({ length: to - from }, (_, index) => `${partition}:${from + index}`))
const plain = { mode: 'beside', perSecond: undefined, reason: 'test' } as const

async function actions(replay: Replay): Promise<readonly string[]> {
  const rows = await postgres.query<{ action: string }>(
    'SELECT action FROM audit_log WHERE project_id = $1 AND subject LIKE $2 ORDER BY id',
    [replay.projectId, `replay ${replay.id} %`]
  )
  return rows.map(({ action }) => action)
}

describe('a replay beside the live group', () => {
  it('reads the part again, once, while live events go on, and leaves the live group where it was', async () => {
    await using world = await openWorld()
    await world.write(30)
    const plan = await world.plan({ from: { kind: 'offset', offset: 10n } })
    expect([plan.records, plan.refusals, plan.parts.map(({ to }) => to)]).toEqual([80n, [], [30n, 30n, 30n, 30n]])
    const replay = await startReplay(deps, plan, plain)
    await world.write(5)
    await world.ended(replay)
    expect(world.replayed.toSorted()).toEqual(places(10, 30).toSorted())
    expect(world.live.toSorted()).toEqual(places(0, 35).toSorted())
    expect(await world.committed()).toEqual([35n, 35n, 35n, 35n])
    expect(await actions(replay)).toEqual(['replay.start', 'replay.run', 'replay.done'])
  })

  it('is one at a time for a group, may be ended, and the next one begins where it is told to', async () => {
    await using world = await openWorld(150)
    await world.write(40)
    const first = await startReplay(deps, await world.plan(), plain)
    await expect(startReplay(deps, await world.plan(), plain)).rejects.toThrow(/is running already \(\d+, by test\)/)
    await eventually('something is read', () => world.replayed.length > 0, { timeoutMs: 40_000, intervalMs: 50 })
    const aborted = await abortReplay(deps, first.id)
    expect(aborted.state).toBe('aborted')
    await expect(abortReplay(deps, first.id)).rejects.toThrow('is aborted already')
    expect(await world.committed()).toEqual([40n, 40n, 40n, 40n])
    // Its workers leave the group of the replay first.
    const second = await startReplay(deps, await world.plan({ from: { kind: 'offset', offset: 39n } }), plain)
    const before = world.replayed.length
    await world.ended(second)
    expect(world.replayed.slice(before).toSorted()).toEqual(places(39, 40))
    expect(await actions(first)).toEqual(['replay.start', 'replay.run', 'replay.abort', 'replay.aborted'])
  })
})

describe('a replay in place', () => {
  it('takes a running group back and forward again; an end half-way puts it back where it stood', async () => {
    await using world = await openWorld()
    await world.write(30)
    const request = { mode: 'in-place', from: { kind: 'offset', offset: 20n } } as const
    const replay = await startReplay(deps, await world.plan(request), { ...plain, mode: 'in-place' })
    await world.ended(replay)
    expect(world.live.toSorted()).toEqual([...places(0, 30), ...places(20, 30)].toSorted())
    expect(await world.committed()).toEqual([30n, 30n, 30n, 30n])

    // Nobody reads: the worker ends, so that the group stands where it was moved to.
    await world.consumer[Symbol.asyncDispose]()
    const second = await startReplay(deps, await world.plan(request), { ...plain, mode: 'in-place' })
    expect(await world.committed()).toEqual([20n, 20n, 20n, 20n])
    await abortReplay(deps, second.id)
    expect(await world.committed()).toEqual([30n, 30n, 30n, 30n])
  })

  it('whose beginning dies lets the group go on, and can be gone on with or given up', async () => {
    await using world = await openWorld()
    await world.write(10)
    await world.consumer[Symbol.asyncDispose]()
    const plan = await world.plan({ mode: 'in-place' })
    const dying = (label: string): ReplayDeps => ({
      ...deps,
      holder: unique('dying'),
      holdMs: 1_500,
      faults: {
        at(at) {
          if (at === label) throw new Error(`killed at ${label}`)
        }
      }
    })
    const request = { ...plain, mode: 'in-place' } as const
    await expect(startReplay(dying('replay.set'), plan, request)).rejects.toThrow('killed')
    const [row] = await postgres.query<{ id: string }>('SELECT id::text FROM replays WHERE group_id = $1', [
      world.group
    ])
    const id = row?.id ?? ''
    const desk = createReplayDesk({ postgres, admin, group: world.group, belongs: () => true, actor: 'test' })
    expect((await desk.orders()).heldForMs).toBeGreaterThan(0)
    await expect(resumeReplay(deps, id)).rejects.toThrow(/if that process is dead it is free in \d s/)
    await eventually('the hold is over', async () => (await desk.orders()).heldForMs === 0, {
      timeoutMs: 5_000,
      intervalMs: 100
    })
    // It was moved already; what is saved is where it stood before.
    expect(await world.committed()).toEqual([0n, 0n, 0n, 0n])
    const resumed = await resumeReplay(deps, id)
    expect([resumed.state, resumed.saved.get(3)]).toEqual(['running', 10n])
    await abortReplay(deps, id)
    expect(await world.committed()).toEqual([10n, 10n, 10n, 10n])
  })

  it('waits for a cluster that is away, and ends where the group stood before it was moved', async () => {
    await using world = await openWorld()
    await world.write(10)
    const plan = await world.plan({ mode: 'in-place' })
    const away = ['before it is read', 'after it is set']
    const fail = (moment: string): void => {
      if (!away.includes(moment)) return
      away.splice(away.indexOf(moment), 1)
      throw new AppError('PIPE_KAFKA_UNAVAILABLE', moment)
    }
    const hurt: ReplayDeps['admin'] = {
      groupOffsets(...args) {
        fail('before it is read')
        return admin.groupOffsets(...args)
      },
      async setGroupOffsets(...args) {
        await admin.setGroupOffsets(...args)
        fail('after it is set')
      }
    }
    const replay = await startReplay({ ...deps, admin: hurt }, plan, { ...plain, mode: 'in-place' })
    expect(away).toEqual([])
    expect([replay.state, replay.saved.get(3), replay.parts[3]?.to]).toEqual(['running', 10n, 10n])
    await world.ended(replay)
    expect(world.live.toSorted()).toEqual([...places(0, 10), ...places(0, 10)].toSorted())
  })

  it('gives up when members do not leave, and has moved nothing', async () => {
    await using world = await openWorld()
    await world.write(10)
    // A worker that knows of no holds.
    const plan = await world.plan({ mode: 'in-place' })
    const { id } = await startReplay({ ...deps, drainMs: 0, holdMs: 1 }, plan, { ...plain, mode: 'in-place' }).catch(
      async (error: unknown) => {
        expect(String(error)).toContain('has members after 0 s')
        const rows = await postgres.query<{ id: string }>('SELECT id::text FROM replays WHERE group_id = $1', [
          world.group
        ])
        return { id: rows[0]?.id ?? '' }
      }
    )
    expect((await findReplay(postgres, id)).state).toBe('aborted')
    expect(await world.committed()).toEqual([10n, 10n, 10n, 10n])
  })
})

describe('the plan of a replay', () => {
  it('refuses an unknown topic, too many records, a range that is gone, and groups that do not go by offsets', async () => {
    await using world = await openWorld()
    await world.write(20)
    await expect(world.plan({ projectId: 'nobody-has-this' })).rejects.toThrow(
      'there is no topic events.nobody-has-this'
    )
    await expect(world.plan({ from: { kind: 'offsets', offsets: new Map([[9, 0n]]) } })).rejects.toThrow(
      'has no partition 9'
    )
    expect((await world.plan({ limit: 79n })).refusals).toEqual([
      '80 records are more than 79; --limit 80 if they are meant'
    ])
    expect((await world.plan({ kind: 'archive' })).effect).toBe('nothing')
    expect((await world.plan({ kind: 'aggregate', mode: 'in-place' })).refusals).toEqual([
      `group ${world.group} does not go by its offsets, so it cannot be moved back in place`
    ])
    await trimLog(testEndpoints().KAFKA_BROKERS, world.topic, new Map([[2, 5n]]))
    const gone = await world.plan({ from: { kind: 'offset', offset: 0n } })
    expect(gone.refusals).toEqual([
      'the log does not reach back that far (partition 2 begins at 5); the archive does not have all of it either; ' +
        '--from-offset earliest takes what there is'
    ])
    const there = await world.plan()
    expect([there.refusals, there.records, there.parts[2]?.from]).toEqual([[], 75n, 5n])
  })
})
