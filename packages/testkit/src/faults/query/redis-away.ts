// The Redis of the cache is killed under load and comes back. Answers stay right, the engine never has more to do than the
// bulkhead lets through, and the breaker does what it says: open, one probe after its time, closed.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import { openQueryRig, plainOf, verdictOf } from './rig.ts'
import type { Asked, Canaries, QueryRig } from './rig.ts'

const clients = 16
/** Different questions of a project. */
const questions = 12
/** Queries that the service runs at once (QUERY_CONCURRENCY). */
const places = 8
const resetMs = 30_000

interface Told extends Asked {
  readonly atMs: number
  readonly isRight: boolean
}

export const redisAway: FaultCase = {
  name: 'redis-away',
  title: `the Redis of the cache killed under ${clients} clients and started again`,
  counters: ['from the cache before', 'without the cache', 'breaker open', 'from the cache after', 'places all taken'],
  async run(context) {
    const { counters, stack, seed } = context
    await using rig = await openQueryRig(context, { projects: 5 })
    const random = createRandom(`redis-${seed}`)
    const told: Told[] = []
    const changes: Change[] = []
    const end = new AbortController()
    // Every answer is known before the fault: whoever finds no place then gets one that is old, and marked so.
    for (const project of rig.projects)
      await Promise.all(Array.from({ length: questions }, (_, number) => rig.ask(project, questionOf(number))))
    rig.proxy.takePeak()
    const load = Array.from({ length: clients }, (_, index) => client(rig, index, random.below, told, end.signal))
    const watching = watchBreaker(rig, changes, end.signal)
    const nowMs = (): number => systemClock.monotonic()
    await systemClock.sleep(2_000)
    const killedAtMs = nowMs()
    if (!stack.kill('redis-cache', 'SIGKILL')) throw new Error('the cache did not run')
    // Half of the calls of the last minute have to fail first.
    await eventually('the breaker opens', () => changes.at(-1)?.state === 2, { timeoutMs: 70_000, intervalMs: 50 })
    await systemClock.sleep(2_000)
    await stack.restart('redis-cache')
    const backAtMs = nowMs()
    const isBack = (): boolean => told.some(({ atMs, cache }) => atMs > backAtMs && cache === 'HIT')
    while (!isBack() && nowMs() < backAtMs + resetMs + 5_000) await systemClock.sleep(50)
    const recoveryMs = nowMs() - backAtMs
    await systemClock.sleep(2_000)
    end.abort()
    await Promise.all(load)
    const peak = rig.proxy.takePeak()
    const during = told.filter(({ atMs }) => atMs > killedAtMs && atMs < backAtMs)
    counters.count(
      'from the cache before',
      countOf(told, (each) => each.atMs < killedAtMs && each.cache === 'HIT')
    )
    counters.count(
      'without the cache',
      countOf(during, ({ cache }) => cache === 'BYPASS')
    )
    counters.count(
      'from the cache after',
      countOf(told, (each) => each.atMs > backAtMs && each.cache === 'HIT')
    )
    if (peak === places) counters.count('places all taken')
    const failed = told.filter(({ status }) => status !== 200)
    await watching
    counters.count(
      'breaker open',
      countOf(changes, ({ state }) => state === 2)
    )
    const alarms = await rig.series('analytics_query_cache_bad_total{kind="mismatch"}')
    context.say(
      `breaker: ${changes.map(({ state, atMs }) => `${state} ${Math.round(atMs - killedAtMs)} ms`).join(', ')}`
    )
    return verdictOf(
      [
        ...broken(
          'INV-3',
          'an answer is wrong',
          told.filter(({ isRight }) => !isRight).map(({ body }) => body.slice(0, 200))
        ),
        ...broken('progress', 'more queries at once than places', peak > places ? [`${peak}`] : []),
        ...broken(
          'progress',
          'more than 1 % of the requests failed',
          failed.length * 100 > told.length ? failed.map(({ status, body }) => `${status} ${body.slice(0, 100)}`) : []
        ),
        ...broken('progress', 'not back within 31 s of Redis', recoveryMs > 31_000 ? [`${recoveryMs} ms`] : []),
        ...broken('progress', 'the breaker did not go its way', wayOf(changes)),
        ...broken('INV-9', 'answers of another project lay in the cache', alarms > 0 ? [`${alarms}`] : [])
      ],
      told,
      { recoveryMs }
    )
  }
}

/** Asks one question after the other. */
async function client(
  rig: QueryRig,
  index: number,
  below: (limit: number) => number,
  told: Told[],
  signal: AbortSignal
): Promise<void> {
  // As Array.from gives it, there is one for every index.
  const project = rig.projects[index % rig.projects.length] as Canaries
  while (!signal.aborted) {
    const number = below(questions)
    const answer = await rig.ask(project, questionOf(number))
    const isRight =
      answer.status !== 200 || plainOf(answer).includes(`[[${project.events},${number},"${project.canary}"]]`)
    told.push({ ...answer, isRight, atMs: systemClock.monotonic() })
    await systemClock.sleep(20)
  }
}

function questionOf(number: number): string {
  return `SELECT count(), ${number}, any(userId) FROM events`
}

interface Change {
  readonly state: number
  readonly atMs: number
}

/** The states of the breaker of the cache as /metrics shows them: 0 closed, 1 half-open, 2 open. */
async function watchBreaker(rig: QueryRig, changes: Change[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const state = await rig.series('analytics_breaker_state{breaker="cache"}')
    if (state !== (changes.at(-1)?.state ?? 0)) changes.push({ state, atMs: systemClock.monotonic() })
    await systemClock.sleep(50)
  }
}

/** What is wrong with the way of the breaker: open once, for its time, and closed again. */
function wayOf(changes: readonly Change[]): readonly string[] {
  const way = changes.filter(({ state }) => state !== 1)
  const shown = changes.map(({ state, atMs }) => `${state}@${Math.round(atMs)}`).join(' ')
  const [opened, closed] = way
  if (way.length !== 2 || opened?.state !== 2 || closed?.state !== 0) return [shown]
  const openMs = closed.atMs - opened.atMs
  return openMs > resetMs - 500 && openMs < resetMs + 2_000 ? [] : [`open for ${Math.round(openMs)} ms: ${shown}`]
}

function countOf<T>(items: readonly T[], test: (item: T) => boolean): number {
  return items.filter((item) => test(item)).length
}
