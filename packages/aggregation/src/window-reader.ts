// What readers see: pointer and values in one script, so that a flip between two commands shows no mixture of epochs.
import { AppError } from '@millrace/kernel'
import { defineScript } from '@millrace/stores/redis-script'
import type { ScriptOutcome } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { toMap, toPartitions } from './inspection.ts'
import { pointerKey } from './keys.ts'
import { windowLua } from './lua-parts.ts'
import { granularities } from './metrics.ts'
import type { Granularity } from './metrics.ts'
import { partsOf } from './script-replies.ts'
import { toWindowValue } from './window-value.ts'
import type { WindowValue } from './window-value.ts'

/** Live windows as of one moment. */
export interface WindowsRead {
  /** 0 = the project has no live state: everything is answered from the warehouse. */
  readonly epoch: number
  /** Windows that begin before this were not seen whole: ask the warehouse. */
  readonly completeFromMs: number
  /** Every on-time event appended before this is counted; -1 = nothing is known. */
  readonly clockMs: number
  /** By name; a window that has no event, or is deleted, is not there. One that is not `closed` is provisional. */
  readonly windows: ReadonlyMap<string, WindowValue>
}

export interface WindowReadOptions {
  /** Without numbers of distinct members: `unique` is undefined everywhere, and reading much cheaper. */
  readonly plain?: boolean
}

export interface WindowReader {
  /**
   * Windows by name; with `dimensions` those alone (`totalDimension` is the total), which is much less to read. Throws
   * PIPE_REDIS_UNAVAILABLE, and PIPE_REDIS_REFUSED when a key holds what it must not.
   */
  read(
    project: string,
    names: readonly string[],
    dimensions?: readonly string[],
    options?: WindowReadOptions
  ): Promise<WindowsRead>
}

/** Binds the script to `redis`. */
export function createWindowReader(redis: Redis): WindowReader {
  const script = defineScript(redis, readLua, toRead)
  return {
    async read(project, names, dimensions, { plain = false } = {}) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const calls = chunksOf(names).map((chunk) => ({
          keys: [pointerKey(project)],
          args: [JSON.stringify({ names: chunk, plain, ...(dimensions === undefined ? {} : { dims: dimensions }) })]
        }))
        const read = together(await script.runAll(calls))
        if (read !== undefined) return read
      }
      throw new AppError('PIPE_REDIS_UNAVAILABLE', 'the live epoch changed again and again while it was read')
    }
  }
}

/** The names of the windows of `metric` that begin in [fromMs, toMs). */
export function windowNames(
  metric: string,
  granularity: Granularity,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }
): readonly string[] {
  const { lengthMs } = granularities[granularity]
  const first = Math.ceil(fromMs / lengthMs) * lengthMs
  const count = Math.max(0, Math.ceil((toMs - first) / lengthMs))
  return Array.from({ length: count }, (_, index) => `${metric}:${granularity}:${first + index * lengthMs}`)
}

/** Without flags: PFCOUNT may write, so a script that declares itself would be refused by a replica, or when memory is full. */
const readLua = `
local call = redis.call
local a = cjson.decode(ARGV[1])
local epoch = call('GET', KEYS[1]) or '0'
local base = string.sub(KEYS[1], 7) .. ':' .. epoch
${windowLua}
local windows = {}
for i, name in ipairs(a.names) do windows[i] = readWindow(name, a.dims, a.plain) end
return {'OK', epoch, call('HGET', 'meta:' .. base, 'from') or '0', call('HGETALL', 'pos:' .. base), windows}`

/** So that one script does not hold Redis up: a window may have hundreds of dimensions. */
const windowsPerScript = 100
const maxAttempts = 5

function chunksOf(names: readonly string[]): readonly (readonly string[])[] {
  const count = Math.max(1, Math.ceil(names.length / windowsPerScript))
  return Array.from({ length: count }, (_, index) =>
    names.slice(index * windowsPerScript, (index + 1) * windowsPerScript)
  )
}

/** Undefined when they are of several epochs. Of the clocks the first holds: what is later is counted in all. */
function together(outcomes: readonly ScriptOutcome<WindowsRead>[]): WindowsRead | undefined {
  const reads = outcomes.map((outcome) => {
    if (!outcome.ok) throw outcome.error
    return outcome.value
  })
  const first = reads[0]
  if (first === undefined || reads.some(({ epoch }) => epoch !== first.epoch)) return undefined
  return { ...first, windows: new Map(reads.flatMap(({ windows }) => [...windows])) }
}

type RawWindow = readonly [name: string, flat: readonly string[], uniques: readonly unknown[]]

function toRead(reply: unknown): WindowsRead {
  const [epoch, from, positions, raw] = partsOf(reply).rest as [string, string, readonly string[], readonly RawWindow[]]
  const windows = raw.flatMap(([name, flat, uniques]) => toWindowValue(name, flat, uniques) ?? [])
  const clocks = toPartitions(toMap(positions)).map(({ clockMs }) => clockMs)
  return {
    epoch: Number(epoch),
    completeFromMs: Number(from),
    clockMs: clocks.length === 0 ? -1 : Math.min(...clocks),
    windows: new Map(windows.map((window) => [window.name, window]))
  }
}
