// A replay from begin to end: the row, then the positions of the group that reads it, set and read back while nobody is in
// that group, then the release. Whatever ends in between leaves the group working: moving it back only repeats what sinks
// bear to see again, and it is never moved forward beyond what it had done.
import type { Admin } from '@millrace/kafka'
import { AppError, isTransient } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import type { AuditAction } from './audit.ts'
import type { GroupPlan } from './replay-plan.ts'
import { findReplay, holdReplay, insertReplay, isOver, moveReplay, positionsGroup, saveOffsets } from './replay-rows.ts'
import type { Replay, ReplayMode, ReplayPart, ReplayState } from './replay-rows.ts'

export interface ReplayDeps {
  readonly postgres: Postgres
  readonly admin: Pick<Admin, 'groupOffsets' | 'setGroupOffsets'>
  readonly clock: Clock
  /** Who acts, for the row and the audit log. */
  readonly actor: string
  /** Names this process: a hold of another one is waited out. */
  readonly holder: string
  /** Workers believe a hold this long after it was last renewed; default 30 s. */
  readonly holdMs?: number
  /** Members have this long to leave; default 120 s. */
  readonly drainMs?: number
  readonly onStep?: (step: ReplayStep) => void
  /** Named points between the steps, for tests. */
  readonly faults?: { at(label: string): void | Promise<void> }
}

export type ReplayStep = 'written' | 'draining' | 'set' | 'released' | 'restored'

export interface StartRequest {
  readonly mode: ReplayMode
  readonly perSecond: number | undefined
  readonly reason: string
}

const lookMs = 500

/**
 * Begins a planned replay; resolves when workers may read it. Throws PIPE_CONFLICT when the plan is refused, another replay
 * of the group is under way, or members do not leave (then nothing was moved and the row is `aborted`).
 */
export async function startReplay(deps: ReplayDeps, plan: GroupPlan, request: StartRequest): Promise<Replay> {
  const { postgres, actor, holder, holdMs = defaultHoldMs } = deps
  const { projectId, group, topic, effect, source, parts, records } = plan
  if (plan.refusals.length > 0) throw new AppError('PIPE_CONFLICT', `${group}: ${plan.refusals.join('; ')}`)
  const { mode, perSecond, reason } = request
  const replay = await postgres.transaction(async (tx) => {
    const made = { projectId, group, topic, mode, effect, source, parts, records, perSecond, reason, actor }
    const inserted = await insertReplay(tx, made, { holder, holdMs })
    await audit(tx, inserted, actor, 'replay.start', {
      mode,
      effect,
      source,
      reason,
      records: String(records),
      parts: shown(parts)
    })
    return inserted
  })
  deps.onStep?.('written')
  await deps.faults?.at('replay.written')
  return await arm(deps, replay)
}

/**
 * Goes on with a replay whose beginning ended in between. Throws PIPE_NOT_FOUND, and PIPE_CONFLICT when it runs or is over
 * or somebody holds it.
 */
export async function resumeReplay(deps: ReplayDeps, id: string): Promise<Replay> {
  const replay = await findReplay(deps.postgres, id)
  if (replay.state !== 'preparing')
    throw new AppError('PIPE_CONFLICT', `replay ${id} is ${replay.state}; only one that is being prepared can go on`)
  await audit(deps.postgres, replay, deps.actor, 'replay.resume', {})
  return await arm(deps, replay)
}

/**
 * Ends a replay. One beside the live group just ends; the live group was never moved. In place the group is put back to
 * where it stood, or left where it is beyond that. Throws PIPE_NOT_FOUND, and PIPE_CONFLICT when it is over or held.
 */
export async function abortReplay(deps: ReplayDeps, id: string): Promise<Replay> {
  const { postgres, actor } = deps
  const replay = await findReplay(postgres, id)
  if (isOver(replay)) throw new AppError('PIPE_CONFLICT', `replay ${id} is ${replay.state} already`)
  const before = replay.state
  // Held first: whoever is setting its positions must not go on behind our back.
  const held = await hold(deps, replay, ['preparing', 'running', 'aborting'], 'aborting')
  await audit(postgres, held, actor, 'replay.abort', { before })
  await deps.faults?.at('replay.aborting')
  if (held.mode === 'in-place' && held.saved.size > 0) {
    await putBack(deps, held)
    deps.onStep?.('restored')
  }
  return await settle(deps, held, 'aborting', { state: 'aborted', action: 'replay.aborted' })
}

/** Where it stood, or where it is beyond that. */
async function putBack(deps: ReplayDeps, replay: Replay): Promise<void> {
  try {
    await moveWhenEmpty(deps, replay, ['aborting'], async (committed) => {
      const stands = (partition: number, saved: bigint): bigint => {
        const now = committed.get(partition) ?? 0n
        return now > saved ? now : saved
      }
      return new Map([...replay.saved].map(([partition, saved]) => [partition, stands(partition, saved)]))
    })
  } catch (error) {
    if (!(error instanceof StillInUse)) throw error
    throw new AppError('PIPE_CONFLICT', `replay ${replay.id}: ${error.message}; it reads on, abort it again`)
  }
}

const defaultHoldMs = 30_000
const defaultDrainMs = 120_000

/** Sets the positions of a replay that is prepared, and releases it. */
async function arm(deps: ReplayDeps, replay: Replay): Promise<Replay> {
  let held = await hold(deps, replay, ['preparing'], 'preparing')
  await deps.faults?.at('replay.held')
  try {
    await moveWhenEmpty(deps, held, ['preparing'], async (committed) => {
      if (held.mode === 'in-place') held = await fixInPlace(deps, held, committed)
      return new Map(held.parts.map(({ partition, from }) => [partition, from]))
    })
  } catch (error) {
    if (!(error instanceof StillInUse)) throw error
    const problem = `${error.message}; nothing was moved`
    await settle(deps, held, 'preparing', { state: 'aborted', action: 'replay.aborted', problem })
    throw new AppError('PIPE_CONFLICT', `replay ${held.id}: ${problem}`)
  }
  deps.onStep?.('set')
  await deps.faults?.at('replay.set')
  const running = await settle(deps, held, 'preparing', { state: 'running', action: 'replay.run' })
  deps.onStep?.('released')
  await deps.faults?.at('replay.released')
  return running
}

/**
 * Where the group stands is where an in-place replay ends and what an abort goes back to; it only rises, since members
 * commit until they have left, and an earlier attempt may have moved the group already.
 */
async function fixInPlace(
  { postgres }: ReplayDeps,
  replay: Replay,
  committed: ReadonlyMap<number, bigint>
): Promise<Replay> {
  const saved = new Map(replay.saved)
  for (const [partition, offset] of committed) if (offset > (saved.get(partition) ?? -1n)) saved.set(partition, offset)
  const parts = replay.parts.flatMap(({ partition, from }): ReplayPart[] => {
    const to = saved.get(partition)
    // Nothing of it was done yet: it needs no replay.
    return to === undefined ? [] : [{ partition, from: from < to ? from : to, to }]
  })
  await saveOffsets(postgres, replay.id, saved, parts)
  return { ...replay, saved, parts }
}

class StillInUse extends Error {}

function stillInUse(group: string, drainMs: number): StillInUse {
  const seconds = Math.round(drainMs / 1_000)
  return new StillInUse(`group ${group} has members after ${seconds} s; do all of its workers know of replays?`)
}

/**
 * Sets the positions that `goalOf` makes of the present ones, as soon as the group has no member: the broker refuses it
 * before. Reads every partition back. The hold is renewed meanwhile. A cluster that is away is waited for as long as
 * members are; what it set in part by then is set again.
 */
async function moveWhenEmpty(
  deps: ReplayDeps,
  replay: Replay,
  states: readonly ReplayState[],
  goalOf: (committed: ReadonlyMap<number, bigint>) => Promise<ReadonlyMap<number, bigint>>
): Promise<void> {
  const { admin, clock, drainMs = defaultDrainMs } = deps
  const { topic } = replay
  const group = positionsGroup(replay)
  const untilMs = clock.monotonic() + drainMs
  for (;;) {
    await hold(deps, replay, states, states[0] ?? replay.state)
    try {
      const goal = await goalOf(await admin.groupOffsets(group, topic))
      if (goal.size === 0) return
      await admin.setGroupOffsets(group, topic, goal)
      return await compare(admin, group, topic, goal)
    } catch (error) {
      const isInUse = error instanceof AppError && error.code === 'PIPE_CONFLICT'
      if (!isInUse && !isTransient(error)) throw error
      if (clock.monotonic() > untilMs) throw isInUse ? stillInUse(group, drainMs) : error
    }
    deps.onStep?.('draining')
    await clock.sleep(lookMs)
  }
}

/** The client says yes when it has sent them; what counts is what the group holds. */
async function compare(
  admin: ReplayDeps['admin'],
  group: string,
  topic: string,
  goal: ReadonlyMap<number, bigint>
): Promise<void> {
  const stored = await admin.groupOffsets(group, topic)
  for (const [partition, offset] of goal)
    if (stored.get(partition) !== offset) {
      const text = `group ${group} holds ${stored.get(partition) ?? 'nothing'} for ${topic}:${partition}, not ${offset}`
      throw new AppError('PIPE_CONFLICT', text)
    }
}

/** Throws PIPE_CONFLICT when it is somebody else's, or not in one of `from` any more. */
async function hold(
  { postgres, holder, holdMs = defaultHoldMs }: ReplayDeps,
  { id }: Replay,
  from: readonly ReplayState[],
  state: ReplayState
): Promise<Replay> {
  const held = await holdReplay(postgres, id, { holder, holdMs, from, state })
  if (held !== undefined) return held
  const now = await findReplay(postgres, id)
  const inS = Math.ceil(now.heldForMs / 1_000)
  throw new AppError(
    'PIPE_CONFLICT',
    from.includes(now.state)
      ? `replay ${id} is ${now.state} by ${now.holder ?? 'nobody'}; if that process is dead it is free in ${inS} s`
      : `replay ${id} is ${now.state}`
  )
}

interface Settled {
  readonly state: ReplayState
  readonly action: AuditAction
  readonly problem?: string
}

async function settle(
  { postgres, actor }: Pick<ReplayDeps, 'postgres' | 'actor'>,
  { id, saved }: Replay,
  from: ReplayState,
  { state, action, problem }: Settled
): Promise<Replay> {
  return await postgres.transaction(async (tx) => {
    const moved = await moveReplay(tx, id, [from], state, problem)
    if (moved === undefined) throw new AppError('PIPE_CONFLICT', `replay ${id} was changed meanwhile`)
    const stood = Object.fromEntries([...saved].map(([partition, offset]) => [partition, String(offset)]))
    const details = { parts: shown(moved.parts), ...(saved.size > 0 ? { saved: stood } : {}), problem }
    await audit(tx, moved, actor, action, details)
    return moved
  })
}

async function audit(
  tx: Parameters<typeof writeAudit>[0],
  { id, projectId, group }: Replay,
  actor: string,
  action: AuditAction,
  details: Readonly<Record<string, unknown>>
): Promise<void> {
  await writeAudit(tx, { actor, action, projectId, subject: `replay ${id} of ${group}`, details })
}

function shown(parts: readonly ReplayPart[]): readonly string[] {
  return parts.map(({ partition, from, to }) => `${partition}: ${from} to ${to}`)
}
