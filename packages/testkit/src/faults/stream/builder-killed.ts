// The command line tool dies at every step of a rebuild and of a flip. Live events go on, what was decided comes true
// without it, what was not may be gone on with or given up, nothing is left behind, and no number changes.
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { systemClock } from '@millrace/kernel'
import { listEpochs } from '@millrace/operations/state-epochs'
import { eventually } from '../../eventually.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { makeEvent } from './make-events.ts'
import { openStreamRig } from './rig.ts'
import type { StreamRig } from './rig.ts'
import { runCli } from './run-cli.ts'
import type { StreamProject } from './stream-project.ts'

const partitions = 4
/** A seal that nobody follows up is lifted after half a minute; owners look every half second here. */
const sealLiftedMs = 33_000

export const builderKilled: FaultCase = {
  name: 'builder-killed',
  title: 'the command line tool killed at each step of a rebuild, a flip and an abort',
  counters: [
    'killed before its keys',
    'killed while reading',
    'killed while sealed',
    'killed after the decision',
    'killed after the flip',
    'killed while giving up',
    'flip finished by an owner',
    'left keys deleted',
    'window closed'
  ],
  async run(context) {
    const { counters, say } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions, written: true })
    const backlog = makeBacklog(rig.random, { run: 'k', sessions: 1_500, sinceMs: 2 * 3_600_000 })
    await project.write(backlog.copies)
    await rig.start([project], {
      count: 2,
      env: { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:60' }
    })
    const builder = createBuilder(rig, project, context)
    const { killed, live, left, rows } = builder

    await live(10_000)
    await killed('epoch.row-written', ['new', '--flip'], 'killed before its keys')
    await live(10_000)
    await builder.run(['abort'])
    await killed('epoch.reading', ['new', '--flip'], 'killed while reading')
    await live(10_000)
    await killed('epoch.sealed', ['flip'], 'killed while sealed')
    await live(sealLiftedMs)
    say('the seal is lifted; a decision that its maker does not live to see')
    await killed('epoch.decided', ['flip'], 'killed after the decision')
    await eventually('an owner finishes the flip', async () => (await rows()) === '1 live, 2 aborted, 3 live')
    counters.count('flip finished by an owner')
    await live(10_000)
    await killed('epoch.flipped', ['new', '--flip'], 'killed after the flip')
    await eventually('an owner settles the flip', async () => (await rows()).endsWith('4 live'))
    await builder.run(['new'])
    await killed('epoch.given-up', ['abort'], 'killed while giving up')
    await eventually('owners delete what is left', async () => (await left()) === '4')
    counters.count('left keys deleted')
    await live(10_000)
    await rig.settled([project], { clockMs: backlog.closedAtMs })
    const { verdict, compared } = await rig.judge([project], await unrecorded(rig, project))
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}

function createBuilder(rig: StreamRig, project: StreamProject, { stack, folder, counters }: CaseContext) {
  const { projectId } = project
  const { latenessMs, sessionIdleMs } = rig.timing
  const env = {
    ...stack.endpoints,
    LATENESS_MS: String(latenessMs),
    SESSION_IDLE_MS: String(sessionIdleMs),
    // Who goes on joins the group of the one that died.
    SESSION_TIMEOUT_MS: '6s',
    HEARTBEAT_INTERVAL_MS: '500ms',
    MILLRACE_TEST: '1'
  }
  const run = (args: readonly string[], faults = '') =>
    runCli(['epoch', ...args, '--project', projectId, '--data-dir', folder], { ...env, MILLRACE_FAULTS: faults })
  let late = 0
  return {
    /** Throws when the command fails. */
    async run(args: readonly string[]): Promise<void> {
      const { code, errors } = await run(args)
      if (code !== 0) throw new Error(`epoch ${args.join(' ')} ended with ${code}: ${errors}`)
    },
    /** The command dies at `label`. */
    async killed(label: string, args: readonly string[], counter: string): Promise<void> {
      const { signal, errors, output } = await run(args, `${label}:kill`)
      if (signal !== 'SIGKILL') throw new Error(`epoch ${args.join(' ')} did not come to ${label}: ${errors}${output}`)
      counters.count(counter)
    },
    /** Resolves when a record of now is applied in each partition: late ones, which count for nothing. */
    async live(timeoutMs: number): Promise<void> {
      const now = systemClock.now()
      const records = Array.from({ length: partitions }, (_, partition) => {
        const made = makeEvent({ eventId: `late-${late++}`, eventType: 'page_view', atMs: now - 2 * latenessMs })
        return { ...made, partition, appendedAtMs: now }
      })
      await project.write(records)
      await rig.applied([project], 30_000 + timeoutMs)
    },
    rows: async () =>
      (await listEpochs(rig.postgres, projectId)).map(({ epoch, state }) => `${epoch} ${state}`).join(', '),
    /** Epochs that have keys. */
    left: async () => [...(await createRedisEpochs(rig.redis).look(projectId)).epochs.keys()].join(', ')
  }
}

/** Flips that the audit log lacks or has twice. */
async function unrecorded({ postgres }: StreamRig, { projectId }: StreamProject): Promise<readonly Violation[]> {
  const rows = await postgres.query<{ readonly subject: string }>(
    `SELECT subject FROM audit_log WHERE project_id = $1 AND action = 'epoch.flip' ORDER BY id`,
    [projectId]
  )
  const flips = rows.map(({ subject }) => subject).join(', ')
  if (flips === '3, 4') return []
  return [{ invariant: 'progress', problem: 'flips in the audit log', count: 1, examples: [flips] }]
}
