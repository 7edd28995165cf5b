// Who did an event, while the loader dies again and again: many small worlds of devices, users, copies and wrong clocks,
// each in an order of its own, with merges and undos between. In the end SQL says of every event what the pure function
// says of the whole log.
import { rawTopic } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { writePersonEdges } from '@millrace/operations/identity-closure'
import { inForce, mergeUsers, readMerges, undoMerge } from '@millrace/operations/identity-merges'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import { createIdentityWorld, expectedPersons } from '../../identity-world.ts'
import type { ExpectedPerson, IdentityChange } from '../../identity-world.ts'
import { createRandom } from '../../random.ts'
import type { Random } from '../../random.ts'
import { openTestKafka } from '../../test-kafka.ts'
import type { FaultCase } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import { openWarehouseRig } from './rig.ts'

const orders = 50
const kills = 10
const partitions = 4
/** Of the records as the pure function gets them; any time will do, as long as it grows. */
const firstAppendMs = Date.UTC(2026, 5, 2)

export const identityDecided: FaultCase = {
  name: 'identity',
  title: `${orders} orders of events, copies, merges and undos, the loader SIGKILLed ${kills} times meanwhile`,
  counters: ['killed', 'merged', 'undone', 'events compared'],
  async run(context) {
    const { counters, seed, stack } = context
    const random = createRandom(`identity-${seed}`)
    await using rig = await openWarehouseRig(context)
    const { project: projectId, clickhouse } = rig
    const { DATABASE_URL: url } = stack.endpoints
    await using postgres = await openPostgres({ url, poolSize: 2, log: createSilentLogger(), name: 'test' })
    await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [projectId])
    await using kafka = await openTestKafka(stack.endpoints)
    await using producer = await kafka.producer()
    const { service, group } = await rig.startLoader({ env: { BATCH_SIZE: '40', FLUSH_AFTER_MS: '20' } })
    const log: RawRecord[] = []
    for (let order = 0; order < orders; order++) {
      const prefix = `${String(order).padStart(2, '0')}-`
      const { records, changes } = createIdentityWorld(random, { projectId, count: 60, prefix })
      const delivered = [...records, ...records.filter(() => random.chance(0.3))].toSorted(() => random() - 0.5)
      // The place in the log decides which copy counts; copies of an event share a partition.
      const placed = delivered.map((record, index) => {
        const position = log.length + index
        return { ...record, offset: BigInt(position), appendedAtMs: firstAppendMs + position }
      })
      log.push(...placed)
      const outcomes = await producer.produce(rawTopic(projectId), placed.map(toProduced))
      if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('the log did not take every record')
      for (const wanted of changes) counters.count(await change({ postgres, projectId, random }, wanted))
      await writePersonEdges({ postgres, clickhouse }, projectId)
      if (order % (orders / kills) !== 0) continue
      await systemClock.sleep(random.below(500))
      service.kill('SIGKILL')
      counters.count('killed')
    }
    await rig.caughtUp(group, 120_000)
    const edges = inForce((await readMerges(postgres, projectId)).merges)
    return await compare(clickhouse, projectId, expectedPersons(log, edges), (count) =>
      counters.count('events compared', count)
    )
  }
}

function toProduced({ value }: RawRecord) {
  const { eventId } = JSON.parse(String(value)) as { eventId: string }
  return { partition: Number(eventId.split('e')[1]) % partitions, key: eventId, value }
}

interface ChangeDeps {
  readonly postgres: Postgres
  readonly projectId: string
  readonly random: Random
}

/** Does what somebody asked for; resolves with the name of its counter. */
async function change({ postgres, projectId, random }: ChangeDeps, wanted: IdentityChange): Promise<string> {
  const admin = { postgres, actor: 'cli:test' }
  if (wanted.kind === 'merge') {
    await mergeUsers(admin, { projectId, fromUserId: wanted.from, intoUserId: wanted.into })
    return 'merged'
  }
  const merges = inForce((await readMerges(postgres, projectId)).merges)
  if (merges.length > 0) await undoMerge(admin, { projectId, mergeId: random.pick(merges).mergeId })
  return 'undone'
}

/** Both views must say what is expected: one at once, the other when its dictionaries have followed by themselves. */
async function compare(
  clickhouse: Clickhouse,
  project: string,
  expected: ReadonlyMap<string, ExpectedPerson>,
  onCompared: (count: number) => void
): Promise<Verdict> {
  const wrong = async (view: 'events' | 'events_fresh'): Promise<readonly string[]> => {
    const rows = await clickhouse.rows<ExpectedPerson & { eventId: string }>(
      `SELECT eventId, personId, personIdAtEvent FROM ${view} WHERE projectId = {project:String}`,
      { project }
    )
    const found = new Map(rows.map((row) => [row.eventId, row]))
    const surplus = rows
      .filter(({ eventId }) => !expected.has(eventId))
      .map(({ eventId }) => `${eventId} is not expected`)
    const differing = [...expected].flatMap(([eventId, { personId, personIdAtEvent }]) => {
      const there = found.get(eventId)
      if (there?.personId === personId && there.personIdAtEvent === personIdAtEvent) return []
      return [`${eventId} is ${there?.personId}, ${there?.personIdAtEvent}, not ${personId}, ${personIdAtEvent}`]
    })
    return [...surplus, ...differing]
  }
  const followed = async (): Promise<boolean> => (await wrong('events')).length === 0
  await eventually('the dictionaries to follow', followed, { timeoutMs: 60_000, intervalMs: 500 }).catch(
    () => undefined
  )
  const violations = []
  for (const view of ['events', 'events_fresh'] as const) {
    const examples = await wrong(view)
    onCompared(expected.size)
    if (examples.length === 0) continue
    const problem = `${view} attributes otherwise than the pure function`
    violations.push({ invariant: 'INV-3' as const, problem, count: examples.length, examples: examples.slice(0, 10) })
  }
  const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
  return { violations, figures: { ...figures, logged: expected.size } }
}
