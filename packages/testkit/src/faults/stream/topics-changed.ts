// A topic gets more partitions under load, so that copies of an event lie in two of them; another one is deleted and made
// anew behind the back of the aggregators, which must take nothing of it until somebody decides.
import { topicSettings } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { openLiveWorld } from './live-world.ts'
import { makeEvents, shuffle, withCopies } from './make-events.ts'
import type { Copy, StreamEvent } from './make-events.ts'
import { openStreamRig, sleepUntil } from './rig.ts'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

const spanMs = 45_000

export const topicsChanged: FaultCase = {
  name: 'topics-changed',
  title: 'partitions grown from 4 to 8 under load, and a topic deleted and made anew',
  counters: ['partitions grown', 'topic made anew', 'other log noticed', 'window closed', 'session closed', 'copy'],
  async run(context) {
    const { counters, say } = context
    const world = openLiveWorld(spanMs)
    await using rig = await openStreamRig(context, world.timing)
    const { random } = rig
    const [grown, recreated] = await rig.projects(2, { partitions: 4 })
    if (grown === undefined || recreated === undefined) throw new Error('no projects')
    const services = await rig.start([grown, recreated], { count: 2 })
    const events = makeEvents(random, { run: 'g', sessions: 300, fromMs: world.fromMs, toMs: world.toMs })
    const half = events.length >> 1
    await Promise.all(
      [grown, recreated].map((project) => project.write(withCopies(random, events.slice(0, half), 0.3).map(toCopy)))
    )
    await rig.applied([grown, recreated])
    await rig.admin.growPartitions(grown.topic, 8)
    counters.count('partitions grown')
    await eventually('the new partitions are served', async () => (await rig.admin.ranges(grown.topic)).length === 8)
    const again = events.slice(0, half).filter(() => random.chance(0.5))
    await grown.write(shuffle(random, [...events.slice(half), ...again]).map(toCopy))
    if (systemClock.now() > world.writeUntilMs) throw new Error('the machine was too slow: events came to be late')
    say('the topic of the other project is deleted and made anew')
    const problems = await makeAnew(rig, recreated, services)
    counters.count('topic made anew')
    if (problems.length === 0) counters.count('other log noticed')
    await rig.applied([grown])
    await sleepUntil(world.closedAtMs)
    await rig.settled([grown], { clockMs: world.closedAtMs })
    const { verdict, compared, evidence } = await rig.judge([grown], problems)
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    counters.count('copy', evidence[0]?.recount.counts.copies ?? 0)
    return verdict
  }
}

/** Replaces the topic and writes some events into the new one; says what of the live state moved all the same. */
async function makeAnew(
  rig: StreamRig,
  project: StreamProject,
  services: readonly RunningService[]
): Promise<readonly Violation[]> {
  const { admin } = rig
  const before = await rig.live(project)
  await admin.deleteTopics([project.topic])
  const settings = topicSettings(await loadTopicDeclaration(), 'local', 'raw')
  await eventually('the topic is made anew', async () => {
    await admin.createTopics([{ ...settings, topic: project.topic, partitions: 4 }])
    return (await admin.ranges(project.topic)).every(({ end }) => end === 0n)
  })
  const now = systemClock.now()
  const fresh = makeEvents(rig.random, { run: 'n', sessions: 20, fromMs: now - 2_000, toMs: now })
  await project.write(fresh.map(toCopy))
  const noticed = eventually('an aggregator raises the alarm', () => isAlarmed(services), { timeoutMs: 30_000 })
  const missed = await noticed.then(
    () => [],
    () => ['no aggregator raised the alarm']
  )
  const after = await rig.live(project)
  const moved = (after?.partitions ?? []).flatMap(({ position }, partition) =>
    position === before?.partitions[partition]?.position ? [] : [`partition ${partition} at ${position}`]
  )
  const found = [...missed, ...moved]
  if (found.length === 0) return []
  return [
    { invariant: 'INV-4', problem: 'another log was taken for the one before', count: found.length, examples: found }
  ]
}

async function isAlarmed(services: readonly RunningService[]): Promise<boolean> {
  const series = await Promise.all(services.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()))
  return series.some((text) => /analytics_aggregator_halted_projects\{[^}]*reason="other-log"[^}]*\} 1$/m.test(text))
}

const toCopy = ({ eventId, value }: StreamEvent): Copy => ({ eventId, value, appendedAtMs: 0 })
