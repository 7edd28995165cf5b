// The operations service dies in the middle of what it was asked to do over HTTP: moving a running group back, a replay
// beside the live group, and a new epoch of the live state. What goes on does so by itself; what does not says so and can
// be gone on with; nothing is doubled and nothing is lost.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { testAdminToken } from '../../pipeline.ts'
import { createRandom } from '../../random.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import type { Violation } from '../oracle.ts'
import { compareStream } from '../stream/compare.ts'
import type { StreamTiming } from '../stream/gather.ts'
import { eventWriter } from './event-writer.ts'
import type { WriteEvents } from './event-writer.ts'
import { openLiveTruth, timingEnv } from './live-truth.ts'
import { compareIds, openOperationsRig } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const timing: StreamTiming = { latenessMs: 40_000, marginMs: 5_000, sessionIdleMs: 5_000 }
/**
 * Where each life of the service ends; the last one lives. The first replay dies three times and is gone on with in the
 * fourth life, which dies over the second one.
 */
const deaths = [
  'replay.written:kill',
  'replay.held:kill',
  'replay.set:kill',
  'replay.set:kill:2',
  'epoch.reading:kill',
  'epoch.decided:kill'
] as const

export const replayOpsKilled: FaultCase = {
  name: 'replay-ops-killed',
  title: `the operations service SIGKILLed at ${deaths.length} steps of replays and epochs, and in the middle of a replay that runs`,
  counters: [
    'service killed',
    'replays gone on with',
    'epochs gone on with',
    'given up',
    'epochs flipped',
    'running replays survived',
    'events meanwhile',
    'windows recounted'
  ],
  async run(context) {
    const { counters } = context
    await using rig = await openOperationsRig(context, {
      only: ['recorder', 'aggregator', 'ops'],
      env: {
        ...timingEnv(timing),
        CLOCK_EVERY_MS: '500',
        REPLAY_CHECK_MS: '500',
        MONITOR_GROUPS: 'record',
        ARCHIVER_GROUP: '-'
      },
      startEnv: (name, start) => {
        const death = name === 'ops' ? deaths[start - 1] : undefined
        return death === undefined ? {} : { MILLRACE_FAULTS: death }
      }
    })
    await using truth = await openLiveTruth(rig, timing)
    const write = eventWriter(rig, createRandom(`ops-killed-${context.seed}`))
    const ids = [...(await write('h', 400, 10_000))]
    await rig.caughtUp(['record'])
    await truth.settled(0)
    const world: World = { context, rig, write, ids }
    const violations = [
      ...(await killedInPlace(world)),
      ...(await killedBuilding(world)),
      ...(await killedBeside(world))
    ]
    await rig.caughtUp(['record'])
    await truth.settled(systemClock.now())
    const recounted = compareStream(await truth.gather())
    counters.count('windows recounted', recounted.closedWindows + recounted.openWindows)
    const letters = await rig.letters()
    return rig.verdict(
      [
        ...violations,
        ...compareIds('raw_events', ids, await rig.recorded()),
        ...recounted.violations,
        ...broken(
          'INV-10',
          'letters over a replay',
          letters.map(({ id }) => id)
        )
      ],
      letters
    )
  }
}

interface World {
  readonly context: CaseContext
  readonly rig: OperationsRig
  readonly write: WriteEvents
  readonly ids: string[]
}

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** Undefined: the service died over it. */
async function ask(rig: OperationsRig, method: string, path: string, body?: object): Promise<Answer | undefined> {
  try {
    const response = await fetch(`${rig.service('ops').url}${path}`, {
      method,
      headers: { authorization: `Bearer ${testAdminToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    return { status: response.status, body: (await response.json()) as Answer['body'] }
  } catch {
    return undefined
  }
}

/** The next life of the service, that answers. */
async function nextLife({ context, rig }: World, starts: number): Promise<void> {
  const ops = rig.service('ops')
  await eventually('the next operations service', () => ops.starts > starts, { timeoutMs: 60_000 })
  context.counters.count('service killed')
  await ops.ready()
}

async function meanwhile({ context, rig, write, ids }: World, run: string): Promise<void> {
  const written = await write(run, 40, 1_000)
  ids.push(...written)
  context.counters.count('events meanwhile', written.length)
  const landed = async (): Promise<boolean> => (await rig.recorded()).size === ids.length
  await eventually(`what arrived at ${run}`, landed, { timeoutMs: 90_000, intervalMs: 500 })
}

/** A running group is moved back; the group goes on by itself whenever the service dies. */
async function killedInPlace(world: World): Promise<readonly Violation[]> {
  const { context, rig } = world
  const wrong: string[] = []
  const begin = (): Promise<Answer | undefined> =>
    ask(rig, 'POST', `/v1/projects/${rig.project.projectId}/replays`, {
      kind: 'record',
      inPlace: true,
      from: { offset: '0' },
      reason: 'killed'
    })
  const dies = async (what: string, over: () => Promise<Answer | undefined>): Promise<string> => {
    const { starts } = rig.service('ops')
    // Whoever died before is believed to live until its hold is over.
    const isDead = async (): Promise<boolean> => (await over()) === undefined
    await eventually(`the service dies over ${what}`, isDead, { timeoutMs: 60_000, intervalMs: 1_000 })
    await nextLife(world, starts)
    await meanwhile(world, what)
    const id = await idOfLast(rig)
    const state = (await ask(rig, 'GET', `/v1/replays/${id}`))?.body['state']
    if (state !== 'preparing') wrong.push(`${what}: is ${String(state)}`)
    return id
  }
  const first = await dies('written', begin)
  for (const what of ['held', 'set']) await dies(what, () => ask(rig, 'POST', `/v1/replays/${first}/resume`, {}))
  await ends(rig, first, 'resume', 'done')
  context.counters.count('replays gone on with')
  const second = await dies('set-again', begin)
  await ends(rig, second, 'abort', 'aborted')
  context.counters.count('given up')
  await rig.caughtUp(['record'])
  return broken('edge', 'another outcome than the stated one', wrong)
}

async function ends(rig: OperationsRig, id: string, verb: 'resume' | 'abort', state: string): Promise<void> {
  const isTaken = async (): Promise<boolean> =>
    (await ask(rig, 'POST', `/v1/replays/${id}/${verb}`, {}))?.status === 200
  await eventually(`${verb} of replay ${id}`, isTaken, { timeoutMs: 60_000, intervalMs: 1_000 })
  const isOver = async (): Promise<boolean> => (await ask(rig, 'GET', `/v1/replays/${id}`))?.body['state'] === state
  await eventually(`replay ${id} is ${state}`, isOver, { timeoutMs: 60_000, intervalMs: 500 })
}

async function idOfLast(rig: OperationsRig): Promise<string> {
  const rows = await rig.postgres.query<{ id: string }>(
    'SELECT id::text FROM replays WHERE project_id = $1 ORDER BY replays.id DESC LIMIT 1',
    [rig.project.projectId]
  )
  return rows[0]?.id ?? ''
}

/** A new epoch is built; the one in force counts on, and the next life goes on with the build. */
async function killedBuilding(world: World): Promise<readonly Violation[]> {
  const { context, rig } = world
  const project = `/v1/projects/${rig.project.projectId}`
  const wrong: string[] = []
  for (const [what, path] of [
    ['reading', `${project}/replays`],
    // Over the same build, gone on with.
    ['decided', `${project}/epochs/resume`]
  ] as const) {
    const { starts } = rig.service('ops')
    await ask(rig, 'POST', path, what === 'reading' ? { kind: 'aggregate' } : {})
    await nextLife(world, starts)
    // Only a build that was gone on with comes to the decision.
    if (what === 'decided') context.counters.count('epochs gone on with')
    await meanwhile(world, what)
    const status = await ask(rig, 'GET', `${project}/epochs`)
    if (status?.body['build'] !== null) wrong.push(`${what}: ${JSON.stringify(status?.body['build'])}`)
  }
  // An aggregator that saw the decision may have done the rest.
  const resumed = await ask(rig, 'POST', `${project}/epochs/resume`, {})
  if (resumed?.status === 200) context.counters.count('epochs gone on with')
  const isInForce = async (): Promise<boolean> => {
    const epochs = (await ask(rig, 'GET', `${project}/epochs`))?.body['epochs'] as readonly Epoch[] | undefined
    return epochs?.some(({ epoch, inForce, state }) => epoch > 1 && inForce && state === 'live') === true
  }
  await eventually('the new epoch is in force', isInForce, { timeoutMs: 120_000, intervalMs: 1_000 })
  context.counters.count('epochs flipped')
  return broken('edge', 'a build that another life of the service knows of', wrong)
}

interface Epoch {
  readonly epoch: number
  readonly inForce: boolean
  readonly state: string
}

/** A replay that runs is the workers' business alone. */
async function killedBeside(world: World): Promise<readonly Violation[]> {
  const { context, rig } = world
  const wanted = { kind: 'record', from: { offset: '0' }, perSecond: 300, reason: 'beside' }
  const begun = await ask(rig, 'POST', `/v1/projects/${rig.project.projectId}/replays`, wanted)
  const id = String(begun?.body['id'])
  const { starts } = rig.service('ops')
  rig.service('ops').kill('SIGKILL')
  await nextLife(world, starts)
  await meanwhile(world, 'beside')
  const over = async (): Promise<boolean> => (await ask(rig, 'GET', `/v1/replays/${id}`))?.body['state'] === 'done'
  await eventually(`replay ${id} is done`, over, { timeoutMs: 90_000, intervalMs: 500 })
  context.counters.count('running replays survived')
  return broken('edge', 'a replay that did not begin', begun?.status === 201 ? [] : [JSON.stringify(begun)])
}
