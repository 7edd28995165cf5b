// Random histories over all scripts at once: what a step does to the reducers it does to Redis, and both must answer and
// leave the same. Consumers of the live epoch and of a build, stale ranges, the clock, emission, epochs, whole rollbacks.
import { expect } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import type { Redis } from '@millrace/stores/redis'
import type { Random } from '@millrace/testkit/random'
import { apply } from '../src/apply.ts'
import { close, remove } from '../src/close.ts'
import type { TopicCount } from '../src/close.ts'
import { confirmSession, confirmWindow, readSession, readWindow } from '../src/emit.ts'
import { abortEpoch, beginRebuild, flip, initEpoch, replaceEpoch, seal, unseal } from '../src/epochs.ts'
import type { EpochRow } from '../src/epochs.ts'
import { noRefusals } from '../src/fold.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import { createRedisClose } from '../src/redis-close.ts'
import { createRedisEmit } from '../src/redis-emit.ts'
import type { Emitted } from '../src/redis-emit.ts'
import { createRedisEpochs } from '../src/redis-epochs.ts'
import { emptyProject, inOrder, liveEpoch, partitionOf } from '../src/state.ts'
import type { Step } from '../src/state.ts'
import { liveTiming } from '../src/timing.ts'
import { createWindowReader } from '../src/window-reader.ts'
import { closings, expectEqual, expectWindow, removals, sizesOf, wanted } from './history-checks.ts'
import { callOf, handAfter, makeLog, startMs } from './random-log.ts'
import type { Hand } from './random-log.ts'
import { normal, readPlain, toPlain, writePlain } from './redis-state.ts'

export interface HistoryOptions {
  readonly redis: Redis
  readonly project: string
  readonly random: Random
  readonly turns: number
  /** Epochs move seldom, so that one grows old enough to close and delete much. */
  readonly isCalm: boolean
  /** Steps and their replies, counted; a step that never answered some kind tests nothing of it. */
  readonly seen: Map<string, number>
}

const hourMs = 3_600_000
/** Before all events, or so that some windows and sessions are not whole. */
const completeFrom = [startMs - hourMs, startMs - hourMs, startMs, startMs + hourMs]
const partitions = 3

/** Runs one history; throws an assertion error at the first difference. */
export async function runHistory({ redis, project, random, turns, isCalm, seen }: HistoryOptions): Promise<void> {
  const applyOn = createRedisApply(redis)
  const clock = createRedisClose(redis, liveTiming)
  const emit = createRedisEmit(redis)
  const epochs = createRedisEpochs(redis)
  const reader = createWindowReader(redis)
  const logs: EventRow[][] = makeLog(random, partitions, turns)
  const endMs = Math.max(...logs.map((rows) => rows.at(-1)?.appendedAt ?? 0))
  let lastNumber = 1
  let state = initEpoch(emptyProject, 1, rowFrom(random.pick(completeFrom))).project
  let snapshot = state
  let turn = 0
  let leapMs = 0
  const waiting: { windows: Emitted[]; sessions: Emitted[]; epoch: number } = { windows: [], sessions: [], epoch: 1 }
  const hands = Array.from({ length: 3 * partitions }, () => ({ hand: handAt(0n), epoch: 1 }))

  /** The next number that no epoch had; a rollback does not bring numbers back. */
  const nextNumber = (): number => ++lastNumber
  const anyNumber = (): number => random.pick([state.pointer - 1, ...state.epochs.keys(), lastNumber, lastNumber])
  /** Of an epoch to come: a new one, or one that must be refused. One that was given up is never used again. */
  const freshNumber = (): number =>
    random.chance(0.6) ? nextNumber() : random.pick([state.pointer - 1, ...state.epochs.keys()])
  const building = (): number => [...state.epochs].find(([, { stage }]) => stage === 'building')?.[0] ?? anyNumber()
  const topic = (epoch: number): TopicCount => ({
    epoch,
    partitions: random.pick([1, 3, 3, 3, 4]),
    countedAtMs: random.chance(0.2) ? startMs + random.below(endMs - startMs) : endMs + leapMs,
    limit: random.pick([1, 20, 500, 500])
  })
  const took = async (name: string, step: Step<object>, made: Promise<object>): Promise<void> => {
    const reply = await made
    note(`${name} ${'kind' in reply ? String(reply.kind) : ''}`)
    expect({ turn, name, reply: sortedIds(reply) }).toEqual({ turn, name, reply: sortedIds(step.reply) })
    state = step.project
  }
  const note = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1)

  const steps: Readonly<Record<string, { readonly weight: number; run(): Promise<void> }>> = {
    apply: {
      weight: 60,
      async run() {
        const index = random.below(hands.length)
        const partition = index % partitions
        const own = hands[index] ?? expect.fail('no hand')
        const length = logs[partition]?.length ?? 0
        let { hand, epoch } = own
        if (random.chance(0.1)) epoch = random.chance(0.5) ? building() : state.pointer
        if (hand.to === hand.from) {
          const held = state.epochs.get(epoch)
          if (hand.from >= length && held !== undefined) hand = handAt(partitionOf(held, partition).position)
          hand = { ...hand, to: Math.min(length, hand.from + 1 + random.below(12)) }
        }
        const call = callOf(logs, partition, hand, epoch)
        const step = apply(state, call)
        await took('apply', step, applyOn(project, call, `c${turn}`))
        const isLost = step.reply.kind === 'epoch' || step.reply.kind === 'broken'
        if (step.reply.kind === 'duplicate' && random.chance(0.2)) await steps['forget']?.run()
        hands[index] = isLost
          ? { hand: handAt(0n), epoch: state.pointer }
          : { hand: handAfter(hand, step.reply), epoch }
      }
    },
    tell: {
      weight: 6,
      async run() {
        // All partitions at once, so that the project's clock moves; or one, with a position that may be wrong.
        const one = random.below(partitions + 1)
        const all = random.chance(0.5)
        const epoch = random.chance(0.7) ? state.pointer : random.chance(0.7) ? building() : anyNumber()
        const clockMs = random.chance(leapMs > 0 ? 0.6 : 0.3) ? endMs + leapMs : startMs + random.below(endMs - startMs)
        for (const partition of all ? [0, 1, 2, 3] : [one]) {
          const held = state.epochs.get(epoch)
          const stored = held === undefined ? 0n : partitionOf(held, partition).position
          const at = !all && random.chance(0.2) ? stored + 1n : stored
          const call = { ...callOf([], partition, handAt(at), epoch), clockMs }
          await took('tell', apply(state, call), applyOn(project, call, 't'))
        }
      }
    },
    close: {
      weight: 8,
      async run() {
        const counted = topic(random.chance(0.8) ? state.pointer : anyNumber())
        const before = state.epochs.get(counted.epoch)
        await took('close', close(state, counted, liveTiming), clock.close(project, counted, `x${turn}`))
        for (const what of closings(before, state.epochs.get(counted.epoch))) note(what)
      }
    },
    remove: {
      weight: 6,
      async run() {
        const counted = topic(random.chance(0.7) ? state.pointer : random.chance(0.7) ? building() : anyNumber())
        const before = state.epochs.get(counted.epoch)
        await took('remove', remove(state, counted, liveTiming), clock.remove(project, counted))
        for (const what of removals(before, state.epochs.get(counted.epoch), counted)) note(what)
      }
    },
    emit: {
      weight: 8,
      async run() {
        const number = random.chance(0.9) ? state.pointer : anyNumber()
        const epoch = liveEpoch(state, number)
        const [names, ids] = [await emit.dirty(project, number, 40), await emit.dirtySessions(project, number, 40)]
        note(`dirty ${names.kind}`)
        if (epoch === undefined || epoch.torn !== undefined) {
          const refused = epoch === undefined ? { kind: 'epoch' } : { kind: 'broken', torn: epoch.torn }
          expect([names, ids]).toEqual([refused, refused])
          expect(await emit.windows(project, number, ['events:1m:0'])).toEqual(refused)
          expect(await emit.sessions(project, number, ['s1'])).toEqual(refused)
          return
        }
        expect(names).toEqual({ kind: 'names', names: wanted(epoch).slice(0, 40) })
        const isOf = ([id]: readonly [string, unknown]): boolean => epoch.dirtySessions.has(id)
        const waits = inOrder([...epoch.sessions].filter(isOf), ({ lastMs }) => lastMs).map(([id]) => id)
        expect(ids).toEqual({ kind: 'names', names: waits.slice(0, 40) })
        const asked = ['no:1m:0', ...(names.kind === 'names' ? names.names : [])]
        const values = await emit.windows(project, number, asked)
        if (values.kind !== 'values') return expect.fail(values.kind)
        expect(values.values.map(({ name }) => name)).toEqual(asked.slice(1))
        for (const value of values.values) expectWindow(value, readWindow(state, { epoch: number, name: value.name }))
        const sessions = await emit.sessions(project, number, ['nobody', ...waits])
        if (sessions.kind !== 'values') return expect.fail(sessions.kind)
        for (const { sessionId: name, revision, isNew: _hint, ...value } of sessions.values) {
          expect({ kind: 'value', revision, value }).toEqual(readSession(state, { epoch: number, name }))
        }
        waiting.epoch = number
        waiting.windows = values.values.map(({ name, revision }) => ({ name, revision }))
        waiting.sessions = sessions.values.map(({ sessionId: name, revision }) => ({ name, revision }))
      }
    },
    confirm: {
      weight: 10,
      async run() {
        const { epoch, windows, sessions } = waiting
        let next: Step<object> = { project: state, reply: liveEpoch(state, epoch) ? { kind: 'ok' } : { kind: 'epoch' } }
        for (const entry of windows) next = confirmWindow(next.project, { epoch, ...entry })
        await took('confirm windows', next, emit.confirmWindows(project, epoch, windows))
        next = { project: state, reply: liveEpoch(state, epoch) ? { kind: 'ok' } : { kind: 'epoch' } }
        for (const entry of sessions) next = confirmSession(next.project, { epoch, ...entry })
        await took('confirm sessions', next, emit.confirmSessions(project, epoch, sessions))
      }
    },
    read: {
      weight: 4,
      async run() {
        const epoch = state.epochs.get(state.pointer)
        const names = [...(epoch?.windows.keys() ?? []), 'no:1m:0']
        const read = await reader.read(project, names)
        const total = await reader.read(project, names, [''])
        expect(read.epoch).toBe(state.pointer)
        if (epoch === undefined) return
        const clocks = epoch.partitions.map(({ clockMs }) => clockMs)
        expect(read.clockMs).toBe(clocks.length === 0 ? -1 : Math.min(...clocks))
        expect([...read.windows.keys()].sort()).toEqual([...epoch.windows.keys()].sort())
        for (const [name, window] of epoch.windows) {
          const value = read.windows.get(name) ?? expect.fail(name)
          expectWindow(value, { kind: 'value', revision: value.revision, value: window })
          expectEqual(total.windows.get(name)?.values, new Map([['', value.values.get('')]]))
        }
        note('read')
      }
    },
    seal: { weight: 2, run: () => took('seal', seal(state), epochs.seal(project)) },
    unseal: {
      weight: 3,
      async run() {
        await epochs.unseal(project)
        state = unseal(state)
      }
    },
    begin: {
      weight: 2,
      run() {
        const number = freshNumber()
        const row = rowFrom(random.pick(completeFrom))
        return took('begin', beginRebuild(state, number, row), epochs.beginRebuild(project, number, row))
      }
    },
    // A build catches up in one go, so that flips come true.
    build: {
      weight: 4,
      async run() {
        const number = building()
        const live = state.epochs.get(state.pointer)
        if (state.epochs.get(number)?.stage !== 'building' || live === undefined) return
        const far = random.chance(0.4) ? 1 : partitions
        for (let partition = 0; partition < far; partition++) {
          await catchUp(number, partition, partitionOf(live, partition).position)
        }
        if (random.chance(0.3)) return
        if (random.chance(0.6)) await took('flip', flip(state, number), epochs.flip(project, number))
        await took('seal', seal(state), epochs.seal(project))
        if (random.chance(0.25)) await tear(number)
        await took('flip', flip(state, number), epochs.flip(project, number))
      }
    },
    flip: {
      weight: 3,
      async run() {
        if (random.chance(0.6)) await took('seal', seal(state), epochs.seal(project))
        const number = random.chance(0.8) ? building() : anyNumber()
        await took('flip', flip(state, number), epochs.flip(project, number))
      }
    },
    abort: {
      weight: 2,
      run() {
        const number = random.chance(0.7) ? building() : anyNumber()
        return took('abort', abortEpoch(state, number), epochs.abort(project, number))
      }
    },
    replace: {
      weight: 1,
      async run() {
        if (random.chance(0.6)) await took('seal', seal(state), epochs.seal(project))
        const number = freshNumber()
        await took('replace', replaceEpoch(state, number, empty), epochs.replace(project, number, empty))
      }
    },
    init: {
      weight: 1,
      run() {
        const number = freshNumber()
        return took('init', initEpoch(state, number, rowFrom(startMs)), epochs.init(project, number, rowFrom(startMs)))
      }
    },
    sweep: {
      weight: 2,
      async run() {
        for (let calls = 0; calls < 50; calls++) if (!(await epochs.sweep(project)).remaining) break
        const names = Object.keys(await readPlain(redis, project)).filter((key) => /\}:\d+/.test(key))
        const left = new Set(names.map((key) => Number(/\}:(\d+)/.exec(key)?.[1])))
        expect([...left].filter((number) => number < state.pointer || !state.epochs.has(number))).toEqual([])
        note('sweep')
      }
    },
    look: {
      weight: 3,
      async run() {
        const { pointer, epochs: held } = await epochs.inspect(project)
        expect(pointer).toBe(state.pointer)
        for (const [number, epoch] of state.epochs) {
          if (number < pointer) continue
          expect(held.get(number)).toMatchObject({
            stage: epoch.stage,
            torn: epoch.torn,
            completeFromMs: epoch.completeFromMs,
            deletedThrough: epoch.deletedThrough,
            partitions: epoch.partitions,
            counts: epoch.counts,
            sizes: sizesOf(epoch)
          })
        }
        note('look')
      }
    },
    tear: { weight: 1, run: () => tear(anyNumber()) },
    mend: {
      weight: 3,
      async run() {
        const whole = [...state.epochs].map(([number, epoch]) => [number, { ...epoch, torn: undefined }] as const)
        if ([...state.epochs.values()].every(({ torn }) => torn === undefined)) return
        state = { ...state, epochs: new Map(whole) }
        await writePlain(redis, project, state)
      }
    },
    // As after a rollback of the partition that the ids came from.
    forget: {
      weight: 2,
      async run() {
        const epochs = [...state.epochs].map(([number, epoch]) => [number, { ...epoch, seen: new Map() }] as const)
        state = { ...state, epochs: new Map(epochs) }
        await writePlain(redis, project, state)
      }
    },
    remember: {
      weight: 2,
      async run() {
        snapshot = state
      }
    },
    rollback: {
      weight: 2,
      async run() {
        state = snapshot
        await writePlain(redis, project, state)
        note('rollback')
      }
    }
  }

  async function tear(number: number): Promise<void> {
    const epoch = state.epochs.get(number)
    if (epoch === undefined) return
    state = { ...state, epochs: new Map(state.epochs).set(number, { ...epoch, torn: 'c0' }) }
    await writePlain(redis, project, state)
  }

  async function catchUp(epoch: number, partition: number, to: bigint): Promise<void> {
    const held = state.epochs.get(epoch) ?? expect.fail('no build')
    let hand: Hand = { ...handAt(partitionOf(held, partition).position), to: Number(to) }
    for (let tries = 0; tries < 9 && hand.from < Number(to); tries++) {
      const call = callOf(logs, partition, hand, epoch)
      const step = apply(state, call)
      await took('build', step, applyOn(project, call, `b${turn}`))
      hand = handAfter(hand, step.reply)
    }
  }

  const bag = Object.entries(steps).flatMap(([name, { weight }]) => {
    const times = isCalm && movesEpochs.has(name) ? 1 : 10
    return Array.from({ length: weight * times }, () => name)
  })
  await writePlain(redis, project, state)
  for (turn = 0; turn < turns; turn++) {
    // In the last part the clock leaps, so that what is kept for a day is deleted too.
    leapMs = turn > turns * 0.7 ? 40 * hourMs : 0
    const name = random.pick(bag)
    const before = state
    await steps[name]?.run()
    if (state === before && turn % 10 > 0) continue
    const [held, should] = [await readPlain(redis, project), await toPlain(redis, project, state)]
    expectEqual({ turn, name, ...normal(held, state.pointer) }, { turn, name, ...normal(should, state.pointer) })
  }
}

const movesEpochs = new Set([
  'seal',
  'begin',
  'build',
  'flip',
  'abort',
  'replace',
  'init',
  'tear',
  'forget',
  'rollback'
])

const empty: EpochRow = { state: 'live', startOffsets: [], completeFromMs: 0 }

function rowFrom(completeFromMs: number): EpochRow {
  return { state: 'live', startOffsets: [0n, 0n], completeFromMs }
}

function handAt(position: bigint): Hand {
  return { from: Number(position), to: Number(position), refusals: noRefusals }
}

const sortedIds = (reply: object): object =>
  'ids' in reply ? { ...reply, ids: [...(reply.ids as string[])].sort() } : reply
