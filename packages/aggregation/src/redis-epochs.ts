// Epochs on Redis: their making, sealing, flipping and giving up, what is there, and the sweeping of what is over.
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis, RedisArg } from '@millrace/stores/redis'
import type { AbortReply, EpochRow, FlipReply, InitReply, SealReply } from './epochs.ts'
import {
  abortLua,
  beginRebuildLua,
  flipLua,
  initLua,
  inspectLua,
  replaceLua,
  sealLua,
  sweepLua,
  unsealOnlyLua
} from './epochs-lua.ts'
import { toInspection } from './inspection.ts'
import type { Inspection } from './inspection.ts'
import { pointerKey } from './keys.ts'
import { maxKeys } from './redis-close.ts'
import { partsOf, toRefused, unknownReply } from './script-replies.ts'
import type { WrongType } from './script-replies.ts'

/** Where an epoch begins. */
export type EpochStart = Pick<EpochRow, 'startOffsets' | 'completeFromMs'>

export interface SweepReply {
  readonly deletedKeys: number
  /** More is to be deleted: call again. */
  readonly remaining: boolean
}

/**
 * The reducers of epochs.ts on Redis, and two things beside them. All throw PIPE_REDIS_UNAVAILABLE when the outcome is
 * not known; all may be repeated, and a repeated one may answer `lost-race` or `epoch` for what it did itself.
 */
export interface RedisEpochs {
  init(project: string, number: number, start: EpochStart): Promise<InitReply>
  beginRebuild(project: string, number: number, start: EpochStart): Promise<InitReply>
  seal(project: string): Promise<SealReply>
  unseal(project: string): Promise<void>
  flip(project: string, number: number): Promise<FlipReply | WrongType>
  replace(project: string, number: number, start: EpochStart): Promise<FlipReply>
  /** The epoch takes nothing from here on; its keys are for `sweep`. */
  abort(project: string, number: number): Promise<AbortReply>
  /** Deletes at most about 500 keys of epochs that are over: after flip, replace and abort, until nothing remains. */
  sweep(project: string): Promise<SweepReply>
  /** Pointer, stages, markers and positions: what an owner compares with rows and its own position. */
  look(project: string): Promise<Inspection>
  /** As `look`, with the sizes; it takes time in proportion to the seen hours. */
  inspect(project: string): Promise<Inspection>
}

/** Binds the scripts to `redis`. */
export function createRedisEpochs(redis: Redis): RedisEpochs {
  const init = defineScript(redis, initLua, toInit)
  const beginRebuild = defineScript(redis, beginRebuildLua, toInit)
  const seal = defineScript(redis, sealLua, toSealed)
  const unseal = defineScript(redis, unsealOnlyLua, () => undefined)
  const flip = defineScript(redis, flipLua, toFlipped)
  const replace = defineScript(redis, replaceLua, toReplaced)
  const abort = defineScript(redis, abortLua, toAborted)
  const sweep = defineScript(redis, sweepLua, toSwept)
  const inspect = defineScript(redis, inspectLua, toInspection)
  const callOf = (project: string, args: object): { keys: readonly string[]; args: readonly RedisArg[] } => ({
    keys: [pointerKey(project)],
    args: [JSON.stringify(args)]
  })
  const startOf = (number: number, { startOffsets, completeFromMs }: EpochStart): object => ({
    e: String(number),
    offsets: startOffsets.map(String),
    from: completeFromMs
  })
  return {
    init: (project, number, start) => init.run(callOf(project, startOf(number, start))),
    beginRebuild: (project, number, start) => beginRebuild.run(callOf(project, startOf(number, start))),
    seal: (project) => seal.run(callOf(project, {})),
    unseal: (project) => unseal.run(callOf(project, {})),
    flip: (project, number) => flip.run(callOf(project, { e: String(number) })),
    replace: (project, number, start) => replace.run(callOf(project, startOf(number, start))),
    abort: (project, number) => abort.run(callOf(project, { e: String(number) })),
    sweep: (project) => sweep.run(callOf(project, { limit: maxKeys })),
    look: (project) => inspect.run(callOf(project, { sizes: false })),
    inspect: (project) => inspect.run(callOf(project, { sizes: true }))
  }
}

function toInit(reply: unknown): InitReply {
  const { kind } = partsOf(reply)
  if (kind === 'OK') return { kind: 'ok' }
  if (kind === 'LOST') return { kind: 'lost-race' }
  throw unknownReply(kind)
}

function toSealed(reply: unknown): SealReply {
  const { kind, rest } = partsOf(reply)
  if (kind === 'EPOCH') return { kind: 'epoch' }
  if (kind === 'OK') return { kind: 'ok', positions: (rest[0] as readonly string[]).map(BigInt) }
  throw unknownReply(kind)
}

function toFlipped(reply: unknown): FlipReply | WrongType {
  const { kind, rest } = partsOf(reply)
  if (kind === 'OK') return { kind: 'ok' }
  if (kind === 'UNSEALED') return { kind: 'not-sealed' }
  if (kind === 'BEHIND') return { kind: 'behind' }
  return toRefused(kind, rest[0])
}

function toReplaced(reply: unknown): FlipReply {
  const flipped = toFlipped(reply)
  if (flipped.kind === 'wrong-type') throw unknownReply(flipped.kind)
  return flipped
}

function toAborted(reply: unknown): AbortReply {
  const { kind } = partsOf(reply)
  if (kind === 'OK') return { kind: 'ok' }
  if (kind === 'LIVE') return { kind: 'live' }
  throw unknownReply(kind)
}

function toSwept(reply: unknown): SweepReply {
  const { rest } = partsOf(reply)
  return { deletedKeys: Number(rest[0]), remaining: Number(rest[1]) === 1 }
}
