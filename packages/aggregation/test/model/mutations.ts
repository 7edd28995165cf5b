// Planted bugs: the protocol with one rule taken away. Each must be found, by the invariant that the rule is there for.
import { apply } from '../../src/apply.ts'
import type { ApplyCall } from '../../src/apply.ts'
import { close, remove } from '../../src/close.ts'
import { confirmWindow, readWindow } from '../../src/emit.ts'
import { flip, initEpoch, seal, unseal } from '../../src/epochs.ts'
import { partitionOf, withEpoch } from '../../src/state.ts'
import type { EpochState, ProjectState } from '../../src/state.ts'
import { revisionOf } from '../../src/windows.ts'
import { backlog, countedBefore, growth, loss, pause, rebuildDeletes, rebuildOne, recreated } from './cases.ts'
import { refold, retention, rollback, sessions, swapped, torn, zombies } from './cases.ts'
import { operations } from './operations.ts'
import type { Operations } from './operations.ts'
import { append, noFaults, scenario, time } from './scenario.ts'
import type { Rules, Scenario } from './scenario.ts'

export interface Mutation {
  readonly bug: string
  readonly scenario: Scenario
  /** The invariant that turns red, or those of them that may be the first, separated by |. */
  readonly found: string
  /** Whether a world that never comes right is what is looked for, and not a wrong one. Default true. */
  readonly settles?: boolean
  /** How many worlds it takes; default 15,000. */
  readonly maxWorlds?: number
}

const notRecount = 'a window is not the recount of the log'
const movedBack = 'a position moved back inside an epoch'
const early = 'a window closed before every on-time record was applied'
const neverFinal = 'a window never became final'
const applyTwice = 'late records are not those of the applied prefix'

function planted(on: Scenario, bug: Partial<Operations>): Scenario {
  return { ...on, operations: { ...operations, ...bug } }
}

function without(on: Scenario, rule: keyof Rules): Scenario {
  return { ...on, rules: { ...on.rules, [rule]: false } }
}

/** Applies at `from` whatever the position is, when `when` says so. */
function applyAnyway(when: (from: bigint, position: bigint) => boolean): Operations['apply'] {
  return (project, call) => {
    const epoch = project.epochs.get(call.epoch)
    const position = epoch === undefined ? call.from : partitionOf(epoch, call.partition).position
    return apply(project, when(call.from, position) ? { ...call, from: position } : call)
  }
}

/** Runs on a state with one epoch changed, and changes the result back where it was not touched. */
function withChanged(project: ProjectState, number: number, change: Partial<EpochState>): ProjectState {
  const epoch = project.epochs.get(number)
  return epoch === undefined ? project : withEpoch(project, number, { ...epoch, ...change })
}

const deletion = scenario({ partitions: 1, removes: true, happenings: [append(0, 0, 0, 0), time(14)] })
const late = [append(0, 0, 0, 0), append(0, 1, 0, 2), append(0, 2, 3, 3)]

export const mutations: readonly Mutation[] = [
  {
    bug: 'a range that overlaps what was applied is applied',
    scenario: planted(scenario({ consumers: 2, coarse: false, happenings: [...late, time(12)], begin: 3 }), {
      apply: applyAnyway((from, position) => from < position)
    }),
    found: movedBack
  },
  {
    bug: 'a range behind a hole is applied',
    scenario: planted(rollback, { apply: applyAnyway((from, position) => from > position) }),
    found: `${notRecount}|the fingerprint is not that of the log`
  },
  {
    bug: 'ids are written before all are looked up',
    scenario: planted(
      scenario({ happenings: [append(0, 0, 0, 0), append(1, 0, 0, 1), append(1, 1, 1, 1), time(12)], begin: 3 }),
      {
        apply: (project, call) => {
          const step = apply(project, call)
          if (step.reply.kind !== 'duplicate') return step
          return { ...step, project: withSeen(step.project, call) }
        }
      }
    ),
    found: notRecount
  },
  {
    bug: 'ids that were left out are not looked up again',
    scenario: planted(refold, { apply: (project, call) => apply(project, { ...call, leftOut: [] }) }),
    found: `${notRecount}|a window is missing`
  },
  {
    bug: 'a torn epoch is written on',
    scenario: planted(torn, {
      apply: (project, call) => apply(withChanged(project, call.epoch, { torn: undefined }), call)
    }),
    found: notRecount
  },
  {
    bug: 'the revision is the sum of positions',
    scenario: planted(
      scenario({
        coarse: false,
        faults: { ...noFaults, rollback: 1 },
        begin: 6,
        happenings: [
          append(0, 0, 1, 1),
          append(1, 1, 1, 1),
          append(0, 2, 3, 4),
          append(0, 3, 3, 4),
          append(0, 4, 3, 4),
          time(12)
        ]
      }),
      { readWindow: positionRevision, confirmWindow: confirmByPosition }
    ),
    maxWorlds: 100_000,
    found: neverFinal
  },
  {
    bug: 'the revision does not tell a final value from a provisional one',
    scenario: planted(pause, {
      readWindow: (project, of) => {
        const reply = readWindow(project, of)
        return reply.kind === 'value' ? { ...reply, revision: reply.revision & ~1 } : reply
      },
      confirmWindow: (project, of) => {
        const held = project.epochs.get(of.epoch)?.windows.get(of.name)
        const same = held !== undefined && (revisionOf(held) & ~1) === of.revision
        return confirmWindow(project, { ...of, revision: same ? revisionOf(held) : -1 })
      }
    }),
    found: neverFinal
  },
  {
    bug: 'an emission is confirmed although the value has changed',
    scenario: planted(scenario({ consumers: 2, happenings: pause.happenings, partitions: 1 }), {
      confirmWindow: (project, of) => {
        const held = project.epochs.get(of.epoch)?.windows.get(of.name)
        return confirmWindow(project, { ...of, revision: held === undefined ? of.revision : revisionOf(held) })
      }
    }),
    found: neverFinal
  },
  {
    bug: 'closing knows only the partitions that were written',
    scenario: planted(growth, {
      close: (project, topic, timing) => close(project, { ...topic, partitions: 0, countedAtMs: Infinity }, timing)
    }),
    found: early
  },
  {
    bug: 'closing does not ask when the partitions were counted',
    scenario: planted(countedBefore, {
      close: (project, topic, timing) => close(project, { ...topic, countedAtMs: Infinity }, timing)
    }),
    found: early
  },
  {
    bug: 'a window is deleted before it was closed',
    scenario: planted(deletion, {
      remove: (project, topic, timing) => {
        const epoch = project.epochs.get(topic.epoch)
        const closed = [...(epoch?.windows ?? [])].map(([name, window]) => [name, { ...window, closed: true }] as const)
        return remove(withChanged(project, topic.epoch, { windows: new Map(closed) }), topic, timing)
      }
    }),
    found: neverFinal
  },
  {
    bug: 'a window is deleted before its final value was confirmed',
    scenario: planted(deletion, {
      remove: (project, topic, timing) => remove(withChanged(project, topic.epoch, { dirty: new Set() }), topic, timing)
    }),
    found: neverFinal
  },
  {
    bug: 'a build deletes windows that it has not emitted',
    scenario: planted(rebuildDeletes, {
      remove: (project, topic, timing) => {
        const stage = project.epochs.get(topic.epoch)?.stage
        if (stage !== 'building') return remove(project, topic, timing)
        const epoch = { ...project.epochs.get(topic.epoch), stage: 'live', completeFromMs: Infinity } as EpochState
        const step = remove({ ...withEpoch(project, topic.epoch, epoch), pointer: topic.epoch }, topic, timing)
        const back = withChanged(step.project, topic.epoch, { stage, completeFromMs: 0 })
        return { ...step, project: { ...back, pointer: project.pointer } }
      }
    }),
    found: `a window is missing|${neverFinal}`
  },
  {
    bug: 'seen hours expire by the wall clock',
    scenario: without(backlog, 'noWallClock'),
    found: notRecount
  },
  {
    bug: 'lateness is what it is when the record is handled',
    scenario: without(backlog, 'lateByRecord'),
    found: applyTwice
  },
  {
    bug: 'the clock of an idle partition is read after the reply',
    scenario: without(pause, 'clockBeforeRequest'),
    found: early
  },
  {
    bug: 'positions are not compared while nothing comes',
    scenario: without(rollback, 'idleCheck'),
    found: neverFinal
  },
  {
    bug: 'the pointer may fall',
    scenario: planted(
      {
        ...loss,
        consumers: 2,
        partitions: 1,
        happenings: [append(0, 0, 0, 0), time(14)],
        begin: 1,
        faults: { ...noFaults, loss: 1 }
      },
      { initEpoch: (project, number, row) => initEpoch({ ...project, pointer: 0 }, number, row) }
    ),
    found: 'it never comes to rest|a window never became final'
  },
  {
    bug: 'a flip does not compare positions',
    scenario: planted(rebuildOne, {
      flip: (project, number) => {
        const live = project.epochs.get(project.pointer)
        if (live === undefined) return flip(project, number)
        const step = flip(withChanged(project, project.pointer, { partitions: [] }), number)
        return step.reply.kind === 'ok' ? step : { ...step, project }
      }
    }),
    found: 'a flip moved a position back'
  },
  {
    bug: 'a flip relies on a seal that was lifted',
    scenario: planted(rebuildOne, {
      seal: (project) => {
        const step = seal(project)
        return { ...step, project: unseal(step.project) }
      },
      flip: (project, number) => {
        const step = flip(withChanged(project, project.pointer, { stage: 'sealing', partitions: [] }), number)
        return step.reply.kind === 'ok' ? step : { ...step, project }
      }
    }),
    found: 'a flip moved a position back',
    settles: false
  },
  {
    bug: 'the epoch of a recreated topic begins before the old log is gone',
    scenario: without(recreated, 'sealBeforeRecreate'),
    found:
      'a position passes the end of the log|the fingerprint is not that of the log|a window is not the recount of the log'
  },
  {
    bug: 'the log is not compared with the fingerprint',
    scenario: planted(swapped, { compareLog: () => ({ kind: 'same' }) }),
    found:
      'a position passes the end of the log|the fingerprint is not that of the log|a window is not the recount of the log',
    settles: false
  },
  {
    bug: 'offsets that retention took are not counted',
    scenario: planted(retention, { apply: (project, call) => apply(project, { ...call, expired: 0 }) }),
    found: 'expired offsets are not those of the holes'
  },
  {
    bug: 'a consumer that lags writes where it is',
    scenario: planted(zombies, { apply: applyAnyway((from, position) => from !== position) }),
    found: `${movedBack}|${notRecount}|the fingerprint is not that of the log`
  },
  {
    bug: 'sessions are read, changed in Node and set, outside of the position',
    scenario: planted(sessions, { apply: lostUpdate }),
    found: 'a session is not the recount of the log'
  }
]

function withSeen(project: ProjectState, { epoch: number, hours }: ApplyCall): ProjectState {
  const seen = new Map(project.epochs.get(number)?.seen)
  for (const { hour, ids } of hours) seen.set(hour, new Set([...(seen.get(hour) ?? []), ...ids]))
  return withChanged(project, number, { seen })
}

/** The last writer's session stays: the merge of what others wrote meanwhile is lost. */
function lostUpdate(project: ProjectState, call: ApplyCall): ReturnType<Operations['apply']> {
  const step = apply(project, call)
  const epoch = step.project.epochs.get(call.epoch)
  if (step.reply.kind !== 'ok' || epoch === undefined) return step
  const sessions = new Map(epoch.sessions)
  for (const { sessionId, ...facts } of call.sessions) {
    sessions.set(sessionId, { ...facts, closed: false, contributed: undefined })
  }
  return { ...step, project: withChanged(step.project, call.epoch, { sessions }) }
}

function sumOfPositions(project: ProjectState, number: number): number {
  return (project.epochs.get(number)?.partitions ?? []).reduce((sum, { position }) => sum + Number(position), 0)
}

function positionRevision(project: ProjectState, of: { epoch: number; name: string }): ReturnType<typeof readWindow> {
  const reply = readWindow(project, of)
  if (reply.kind !== 'value') return reply
  return { ...reply, revision: 2 * sumOfPositions(project, of.epoch) + (reply.value.closed ? 1 : 0) }
}

function confirmByPosition(
  project: ProjectState,
  of: { epoch: number; name: string; revision: number }
): ReturnType<typeof confirmWindow> {
  const held = project.epochs.get(of.epoch)?.windows.get(of.name)
  const now = 2 * sumOfPositions(project, of.epoch) + (held?.closed === true ? 1 : 0)
  return confirmWindow(project, { ...of, revision: held !== undefined && now === of.revision ? revisionOf(held) : -1 })
}
