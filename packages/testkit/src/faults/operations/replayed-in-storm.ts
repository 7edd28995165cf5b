// Everything is read again while the ground moves: the leader of three brokers dies, and members of all groups come and go
// every three seconds. A part of the rows is taken away before, so that a replay that reads nothing cannot pass; what is
// there afterwards is what was there.
import { AppError, systemClock } from '@millrace/kernel'
import { openThreeBrokers } from '../../three-brokers.ts'
import type { FaultCase } from '../fault-case.ts'
import { makeBacklog } from '../stream/backlog.ts'
import { makeEvent } from '../stream/make-events.ts'
import { openStreamRig } from '../stream/rig.ts'
import type { CliEnd } from '../stream/run-cli.ts'
import type { StreamProject } from '../stream/stream-project.ts'
import { broken } from '../oracle.ts'
import { compareFinals } from './finals.ts'
import { compareIds } from './rig.ts'
import { openStormWorld, stormTiming } from './storm-world.ts'
import type { Seen } from './storm-world.ts'

const partitions = 4
const sessions = 2_500

export const replayedInStorm: FaultCase = {
  name: 'replayed-in-storm',
  title:
    'all read again by loaders, by recorders in place and into a new epoch, while a leader dies and members come and go',
  counters: [
    'leader killed',
    'members that joined',
    'epochs flipped',
    'replays done',
    'rows taken from PostgreSQL before',
    'events taken from ClickHouse before',
    'live events meanwhile',
    'final values compared',
    'sessions compared',
    'told anew',
    'files in the archive'
  ],
  async run(context) {
    const { counters, say } = context
    say('three brokers start')
    await using cluster = await openThreeBrokers()
    const stack = { endpoints: { ...cluster.stack.endpoints, KAFKA_BROKERS: cluster.brokers } }
    await using rig = await openStreamRig({ ...context, stack }, stormTiming)
    const project = await rig.project({ partitions, written: true })
    const backlog = makeBacklog(rig.random, { run: 's', sessions, sinceMs: 2 * 3_600_000 }, stormTiming)
    // All of it before anybody reads: at the end of a log the clock goes on with the present.
    await project.write(backlog.copies)
    await using world = await openStormWorld(context, { cluster, rig, project })
    const ids = backlog.events.map(({ eventId }) => eventId)
    await world.settled()
    await rig.settled([project], { clockMs: backlog.closedAtMs, timeoutMs: 90_000 })
    const before = await world.look()
    counters.count('files in the archive', before.files.length)
    const taken = await world.takeAway()
    counters.count('rows taken from PostgreSQL before', taken.rows)
    counters.count('events taken from ClickHouse before', taken.events)
    say('the replays begin')
    const live = keepWriting(project)
    const [ends] = await Promise.all([world.replayAll(), world.rage(), world.loseLeader()])
    ids.push(...(await live.stop()))
    counters.count('live events meanwhile', ids.length - backlog.events.length)
    say('the storm is over; waiting for everything to settle')
    await world.settled()
    await rig.settled([project], { timeoutMs: 90_000 })
    const after = await world.look()
    counters.count('replays done', ends.filter(({ code }) => code === 0).length)
    counters.count('epochs flipped', after.epoch - before.epoch)
    const finals = compareFinals(before.told, after.told)
    counters.count('final values compared', finals.windows)
    counters.count('sessions compared', finals.sessions)
    counters.count('told anew', finals.toldAnew)
    return {
      figures: after.verdict.figures,
      violations: [
        ...before.verdict.violations,
        ...after.verdict.violations,
        ...broken('edge', 'a command failed', ends.flatMap(failureOf)),
        ...compareIds('the view events', ids, await rig.pipeline.visibleIds(project.projectId)),
        ...compareIds('raw_events', ids, await world.recorded()),
        ...finals.violations,
        ...broken('INV-5', 'the archive lost something', lostOf(before, after))
      ]
    }
  }
}

function failureOf({ code, errors, output }: CliEnd): readonly string[] {
  return code === 0 ? [] : [`${code}: ${errors.slice(0, 500)}${output.slice(0, 500)}`]
}

/** Files that are gone, and heads that went back. */
function lostOf(before: Seen, after: Seen): readonly string[] {
  return [
    ...before.files.filter((key) => !after.files.includes(key)),
    ...[...before.heads].flatMap(([partition, head]) =>
      (after.heads.get(partition) ?? 0n) < head ? [`partition ${partition} before ${head}`] : []
    )
  ]
}

/** Events of now in every partition; resolves with their ids when stopped. */
function keepWriting(project: StreamProject): { stop(): Promise<readonly string[]> } {
  const ids: string[] = []
  let running = true
  const turns = (async () => {
    while (running) {
      const now = systemClock.now()
      const records = Array.from({ length: partitions }, (_, partition) => {
        const eventId = `live-${ids.length + partition}`
        return { ...makeEvent({ eventId, eventType: 'page_view', atMs: now }), partition, appendedAtMs: now }
      })
      // Whoever cannot find the leader looks again; a copy more is no harm.
      while (!(await isWritten(project, records))) await systemClock.sleep(200)
      ids.push(...records.map(({ eventId }) => eventId))
      await systemClock.sleep(200)
    }
  })()
  // The caller sees a failure when it stops the load; until then it is not unhandled.
  turns.catch(() => {})
  return {
    async stop() {
      running = false
      await turns
      return ids
    }
  }
}

async function isWritten(project: StreamProject, records: Parameters<StreamProject['write']>[0]): Promise<boolean> {
  try {
    await project.write(records)
    return true
  } catch (error) {
    if (error instanceof AppError && error.class === 'transient') return false
    throw error
  }
}
