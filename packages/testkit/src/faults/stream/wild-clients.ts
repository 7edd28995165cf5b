// Clients that send whatever they like: clocks a year off, no time or an absurd one, more kinds of events and pages than
// are kept apart, ids of the greatest length and of another project, money below zero and beyond all measure.
import { systemClock } from '@millrace/kernel'
import type { Random } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { makeEvent } from './make-events.ts'
import type { Copy, Members } from './make-events.ts'
import { openStreamRig } from './rig.ts'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

const yearMs = 365 * 86_400_000
const hourMs = 3_600_000
/** A hundred times what is kept apart, in one window. */
const kinds = 20_000
/** Six members of each dimension kept apart, and what a window has besides. */
const mostFields = 6 * 203

const iso = (ms: number): string => new Date(ms).toISOString()

/** What is wrong with an event of this time, in turn. */
const oddities: readonly ((atMs: number, random: Random) => Members)[] = [
  (atMs) => ({ timestamp: iso(atMs + yearMs), sentAt: iso(atMs + yearMs), receivedAt: iso(atMs) }),
  (atMs) => ({ timestamp: iso(atMs - yearMs), sentAt: iso(atMs - yearMs), receivedAt: iso(atMs) }),
  (atMs) => ({ timestamp: iso(atMs + yearMs), receivedAt: iso(atMs) }),
  (atMs) => ({ timestamp: iso(atMs - yearMs), receivedAt: iso(atMs) }),
  (atMs) => ({ timestamp: undefined, receivedAt: iso(atMs) }),
  (atMs) => ({ timestamp: '9999-12-31T23:59:59.999Z', receivedAt: iso(atMs) }),
  () => ({ timestamp: '0001-01-01T00:00:00.000Z' }),
  () => ({ timestamp: 'the day before yesterday' }),
  (atMs) => ({ timestamp: atMs }),
  () => ({ sessionId: 's'.repeat(255), userId: 'u'.repeat(255) }),
  (_, random) => ({ eventType: 'purchase', properties: { revenue: -random.below(1_000_000_000) } }),
  () => ({ eventType: 'purchase', properties: { revenue: 5e12 } }),
  () => ({ eventType: 'purchase', properties: { revenue: '12' } }),
  () => ({ eventType: 'purchase', properties: { revenue: 999_999_999.999999 } })
]

export const wildClients: FaultCase = {
  name: 'wild-clients',
  title: 'clients a year off, without times, with too many kinds of events, strange ids and strange money',
  counters: [
    'odd event',
    'not an event',
    'bad value',
    'late record',
    'capped window',
    'window closed',
    'session closed'
  ],
  async run(context) {
    const { counters } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const { random } = rig
    const projects = await rig.projects(2, { partitions: 4, written: true })
    const plain = makeBacklog(random, { run: 'w', sessions: 200, sinceMs: hourMs })
    const lastMs = plain.closedAtMs - backlogTiming.latenessMs - 2 * backlogTiming.sessionIdleMs
    const odd = Array.from({ length: 1_400 }, (_, index): Copy => {
      const atMs = lastMs - random.below(hourMs / 2)
      const { properties, ...members } = oddities[index % oddities.length]?.(atMs, random) ?? {}
      const eventId = `odd-${String(index).padStart(6, '0')}${'x'.repeat(100)}`
      const parts = { eventId, eventType: 'page_view', atMs, sessionId: `odd-${index % 90}`, path: '/odd', ...members }
      const { value } = makeEvent({ ...parts, properties: (properties ?? {}) as Members })
      return { eventId, value, appendedAtMs: atMs + random.below(5_000) }
    })
    const many = Array.from({ length: kinds }, (_, index): Copy => {
      const atMs = Math.floor(lastMs / 60_000) * 60_000 - 60_000 + random.below(50_000)
      const eventId = `many-${String(index).padStart(6, '0')}`
      const eventType = index % 2 === 0 ? 'page_view' : `kind-${index}`
      const { value } = makeEvent({ eventId, eventType, atMs, path: `/many/${index}/${'p'.repeat(100)}` })
      return { eventId, value, appendedAtMs: atMs + random.below(5_000) }
    })
    const copies = [...plain.copies, ...odd, ...odd.filter(() => random.chance(0.3)), ...many]
    // Both projects have the same ids of everything; the second lacks half of it.
    await projects[0]?.write(copies)
    await projects[1]?.write(copies.filter((_, index) => index % 2 === 0))
    counters.count('odd event', odd.length)
    await rig.start(projects, { count: 2 })
    await rig.settled(projects, { clockMs: plain.closedAtMs })
    const bounds = (await Promise.all(projects.map((project) => unbounded(rig, project)))).flat()
    const { verdict, compared, evidence } = await rig.judge(projects, bounds)
    for (const { closedWindows, closedSessions, cappedWindows } of compared) {
      counters.count('window closed', closedWindows)
      counters.count('session closed', closedSessions)
      counters.count('capped window', cappedWindows)
    }
    for (const { recount } of evidence) {
      counters.count('not an event', recount.counts.notEvents)
      counters.count('bad value', recount.counts.badValues)
      counters.count('late record', recount.counts.late)
    }
    return verdict
  }
}

/** Clocks that a client moved, and windows that grew with what clients sent. */
async function unbounded({ live, redis }: StreamRig, project: StreamProject): Promise<readonly Violation[]> {
  const partitions = (await live(project))?.partitions ?? []
  const ahead = partitions.filter(({ clockMs }) => clockMs > systemClock.now()).map(({ clockMs }) => String(clockMs))
  const keys = (await redis.command('KEYS', `metric:{${project.projectId}}:*`)) as readonly string[]
  const fields = await redis.pipeline(keys.map((key) => ['HLEN', key]))
  const large = keys.flatMap((key, index) => {
    const reply = fields[index]
    const count = reply?.ok === true ? Number(reply.value) : Number.POSITIVE_INFINITY
    return count > mostFields ? [`${key}: ${count} fields`] : []
  })
  const found = [
    { problem: 'a clock that is ahead of time', examples: ahead },
    { problem: 'a window that is larger than its cap', examples: large }
  ]
  return found.flatMap(({ problem, examples }) =>
    examples.length === 0 ? [] : [{ invariant: 'INV-4' as const, problem, count: examples.length, examples }]
  )
}
