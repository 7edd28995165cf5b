// A million events with a kind and a page of their own each, beside a million of one kind and page: what is kept apart is
// capped, so they may not cost more memory, neither the aggregator nor Redis, and every event is in the totals.
import { createWindowReader, windowNames } from '@millrace/aggregation/window-reader'
import { otherDimension, totalDimension } from '@millrace/aggregation/windows'
import type { WindowValue } from '@millrace/aggregation/window-value'
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import { watchMemory } from '../gateway/peak-memory.ts'
import type { Violation } from '../oracle.ts'
import { backlogTiming } from './backlog.ts'
import { makeEvent } from './make-events.ts'
import type { Copy } from './make-events.ts'
import { openStreamRig } from './rig.ts'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

const events = 1_000_000
/** Enough to tell when the cap is planted away; a window with a million values can not be told any more. */
const plantedEvents = 100_000
const chunk = 50_000
const hourMs = 3_600_000
/** What is kept apart of a built-in metric, and the rest of it together. */
const mostValues = 200
/** What a million values may cost beyond one value: the capped values of an hour and its minutes. */
const moreRedisBytes = 24 * 2 ** 20
const moreRssBytes = 96 * 2 ** 20

export const millionValues: FaultCase = {
  name: 'million-values',
  title: 'a million events with a kind and a page each, against a million of one kind and page',
  counters: ['event written', 'capped window', 'peak memory MiB', 'Redis growth MiB'],
  async run(context) {
    const { counters, say } = context
    const count = context.planted === undefined ? events : plantedEvents
    await using rig = await openStreamRig(context, backlogTiming)
    const [plain, many] = await rig.projects(2, { partitions: 4, written: true })
    if (plain === undefined || many === undefined) throw new Error('no projects')
    const of = async (project: StreamProject, isDistinct: boolean): Promise<Cost> => {
      await write(project, count, isDistinct)
      counters.count('event written', count)
      const cost = await measure(rig, project, count)
      say(
        `${isDistinct ? count : 1} values: ${mib(cost.rssBytes)} MiB of process, ${mib(cost.redisBytes)} MiB of Redis`
      )
      return cost
    }
    const one = await of(plain, false)
    const all = await of(many, true)
    counters.count('peak memory MiB', mib(all.rssBytes))
    counters.count('Redis growth MiB', mib(all.redisBytes))
    const windows = await hoursOf(rig, many)
    counters.count('capped window', windows.filter(({ capped }) => capped).length)
    const { verdict } = await rig.judge([])
    return {
      ...verdict,
      violations: [
        ...complain('values cost memory of the aggregator', all.rssBytes - one.rssBytes, moreRssBytes),
        ...complain('values cost memory of Redis', all.redisBytes - one.redisBytes, moreRedisBytes),
        ...checkWindows(windows, count),
        ...checkWindows(await hoursOf(rig, plain), count)
      ],
      figures: { ...verdict.figures, attempts: 2 * count, acked: 2 * count, logged: 2 * count },
      measures: { peakRssBytes: all.rssBytes }
    }
  }
}

interface Cost {
  readonly rssBytes: number
  readonly redisBytes: number
}

async function write(project: StreamProject, count: number, isDistinct: boolean): Promise<void> {
  const beginsMs = systemClock.now() - hourMs
  for (let first = 0; first < count; first += chunk) {
    const copies = Array.from({ length: Math.min(chunk, count - first) }, (_, index): Copy => {
      const number = first + index
      const atMs = beginsMs + Math.floor((number * (hourMs - 120_000)) / count)
      const own = isDistinct ? `${number}` : 'one'
      const { eventId, value } = makeEvent({
        eventId: `v-${number}`,
        // Kinds and pages in one: every event counts in both metrics with a dimension.
        eventType: number % 2 === 0 ? 'page_view' : `kind-${own}`,
        atMs,
        userId: `u${number}`,
        path: `/${own}/${'p'.repeat(100)}`
      })
      return { eventId, value, appendedAtMs: atMs }
    })
    await project.write(copies)
  }
}

/** Lets one aggregator apply all of it. */
async function measure(rig: StreamRig, project: StreamProject, count: number): Promise<Cost> {
  const used = async (): Promise<number> => {
    const info = String(await rig.redis.command('INFO', 'memory'))
    return Number(/used_memory:(\d+)/.exec(info)?.[1])
  }
  const before = await used()
  const [service] = await rig.start([project], { count: 1 })
  if (service === undefined) throw new Error('no aggregator')
  await using memory = watchMemory(() => service.pid)
  let most = before
  const timeoutMs = 60_000 + count / 5
  const applied = rig.applied([project], timeoutMs)
  const watching = new AbortController()
  const watch = async (): Promise<void> => {
    while (!watching.signal.aborted) {
      most = Math.max(most, await used())
      await systemClock.sleep(250, watching.signal).catch(() => undefined)
    }
  }
  const watched = watch()
  await applied.finally(() => watching.abort())
  await watched
  const rssBytes = memory.peakBytes()
  await service.stop()
  return { rssBytes, redisBytes: Math.max(most, await used()) - before }
}

async function hoursOf({ redis }: StreamRig, { projectId }: StreamProject): Promise<readonly WindowValue[]> {
  const now = systemClock.now()
  const span = { fromMs: now - 3 * hourMs, toMs: now }
  const names = ['events', 'page_views'].flatMap((metric) => windowNames(metric, '1h', span))
  return [...(await createWindowReader(redis).read(projectId, names)).windows.values()]
}

function checkWindows(windows: readonly WindowValue[], count: number): readonly Violation[] {
  const wrong: string[] = []
  const totals = new Map<string, number>()
  for (const { name, values } of windows) {
    const metric = name.slice(0, name.indexOf(':'))
    const total = values.get(totalDimension)?.count ?? 0
    totals.set(metric, (totals.get(metric) ?? 0) + total)
    const apart = [...values].filter(([value]) => value !== totalDimension)
    const sum = apart.reduce((all, [, share]) => all + share.count, 0)
    if (sum !== total) wrong.push(`${name}: values add up to ${sum}, not ${total}`)
    const kept = apart.filter(([value]) => value !== otherDimension).length
    if (kept > mostValues) wrong.push(`${name}: ${kept} values kept apart`)
  }
  if (totals.get('events') !== count) wrong.push(`events: ${totals.get('events')}, not ${count}`)
  if (totals.get('page_views') !== count / 2) wrong.push(`page_views: ${totals.get('page_views')}, not ${count / 2}`)
  if (wrong.length === 0) return []
  return [{ invariant: 'INV-4', problem: 'a wrong capped window', count: wrong.length, examples: wrong.slice(0, 10) }]
}

function complain(problem: string, bytes: number, mostBytes: number): readonly Violation[] {
  if (bytes <= mostBytes) return []
  return [{ invariant: 'progress', problem, count: 1, examples: [`${mib(bytes)} MiB more, at most ${mib(mostBytes)}`] }]
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}
