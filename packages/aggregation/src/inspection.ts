// What Redis holds of a project's epochs, typed, for owners, the command line tool and procedures.
import { partsOf } from './script-replies.ts'
import type { EpochStage, PartitionState } from './state.ts'

export interface Inspection {
  /** 0 = none. */
  readonly pointer: number
  /** By number; `isOver`: its keys wait for the sweep. */
  readonly epochs: ReadonlyMap<number, EpochInspection>
  /** Of the server; `maxBytes` 0 = without limit. */
  readonly memory: { readonly usedBytes: number; readonly maxBytes: number }
}

export interface EpochInspection {
  readonly stage: EpochStage | 'over'
  readonly torn: string | undefined
  readonly completeFromMs: number
  readonly deletedThrough: number
  /** By partition; its length is the number of partitions that the epoch knows of. */
  readonly partitions: readonly PartitionState[]
  readonly counts: { readonly late: number; readonly closed: number; readonly expired: number }
  /** All 0 when they were not asked for; -1 for an index of a wrong type. */
  readonly sizes: EpochSizes
}

export interface EpochSizes {
  readonly openWindows: number
  readonly windows: number
  readonly dirtyWindows: number
  readonly openSessions: number
  readonly closedSessions: number
  readonly dirtySessions: number
  readonly seenHours: number
  readonly seenIds: number
}

/** Reads the reply of the script; epochs below the pointer are `over` whatever stage they ended in. */
export function toInspection(reply: unknown): Inspection {
  const [pointer, epochs, usedBytes, maxBytes] = partsOf(reply).rest as [string, readonly RawEpoch[], string, string]
  const live = Number(pointer)
  const read = epochs.map((epoch) => toEpoch(epoch, live)).sort(([a], [b]) => a - b)
  return { pointer: live, epochs: new Map(read), memory: { usedBytes: Number(usedBytes), maxBytes: Number(maxBytes) } }
}

type RawEpoch = readonly [
  epoch: string,
  meta: readonly string[],
  positions: readonly string[],
  sizes: readonly number[],
  ids: number
]

function toEpoch(
  [number, flatMeta, flatPositions, sizes, seenIds]: RawEpoch,
  pointer: number
): [number, EpochInspection] {
  const meta = toMap(flatMeta)
  const count = (field: string): number => Number(meta.get(field) ?? 0)
  const [
    openWindows = 0,
    windows = 0,
    dirtyWindows = 0,
    openSessions = 0,
    closedSessions = 0,
    dirtySessions = 0,
    seenHours = 0
  ] = sizes
  return [
    Number(number),
    {
      stage: Number(number) < pointer ? 'over' : toStage(meta.get('stage')),
      torn: meta.get('torn'),
      completeFromMs: count('from'),
      deletedThrough: Number(meta.get('deleted') ?? -1),
      partitions: toPartitions(toMap(flatPositions)),
      counts: { late: count('late'), closed: count('closed'), expired: count('expired') },
      sizes: { openWindows, windows, dirtyWindows, openSessions, closedSessions, dirtySessions, seenHours, seenIds }
    }
  ]
}

/** By partition, from the fields of the positions (keys.ts). */
export function toPartitions(fields: ReadonlyMap<string, string>): readonly PartitionState[] {
  return Array.from({ length: Number(fields.get('n') ?? 0) }, (_, index) => ({
    position: BigInt(fields.get(`p${index}`) ?? 0),
    appendedAtMs: Number(fields.get(`f${index}`) ?? -1),
    clockMs: Number(fields.get(`c${index}`) ?? -1)
  }))
}

/** Field and value by turns. */
export function toMap(flat: readonly string[]): ReadonlyMap<string, string> {
  const made = new Map<string, string>()
  for (let index = 0; index < flat.length; index += 2) made.set(flat[index] ?? '', flat[index + 1] ?? '')
  return made
}

function toStage(text: string | undefined): EpochInspection['stage'] {
  return text === 'building' || text === 'live' || text === 'sealing' ? text : 'over'
}
