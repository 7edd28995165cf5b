// What the comparison of log and sinks must know after a restart, in the Redis of the live state: when it was begun and ended
// last, and what it found. A process that was killed by it would else begin again at once, and again.
import type { Redis } from '@millrace/stores/redis'

/** How many a sink lacks or has twice. */
export interface Differences {
  readonly warehouse: number
  readonly letters: number
  readonly live: number
}

export interface Marks {
  /** When it was asked for first, ms. */
  readonly sinceMs: number
  readonly begunMs: number | undefined
  /** When every project was compared. */
  readonly endedMs: number | undefined
  /** Of the last comparison of each project. */
  readonly differences: Readonly<Record<string, Differences>>
}

/** Each throws PIPE_REDIS_UNAVAILABLE. */
export interface MarkStore {
  /** Counts as the first question when there was none. */
  read(nowMs: number): Promise<Marks>
  begun(atMs: number): Promise<void>
  /** `endedMs`: undefined when not all projects could be compared. */
  found(differences: Marks['differences'], endedMs: number | undefined): Promise<void>
}

const key = 'ops:reconcile'

/** The marks in `redis`. */
export function createMarkStore(redis: Pick<Redis, 'command'>): MarkStore {
  const set = async (...fields: readonly (string | number)[]): Promise<void> => {
    await redis.command('HSET', key, ...fields)
  }
  return {
    async read(nowMs) {
      await redis.command('HSETNX', key, 'since', nowMs)
      const reply = await redis.command('HMGET', key, 'since', 'begun', 'ended', 'differences')
      const [since, begun, ended, differences] = reply as readonly (string | null)[]
      const numberOf = (text: string | null | undefined): number | undefined =>
        typeof text === 'string' ? Number(text) : undefined
      return {
        sinceMs: numberOf(since) ?? nowMs,
        begunMs: numberOf(begun),
        endedMs: numberOf(ended),
        differences: parseDifferences(differences ?? '')
      }
    },
    begun: (atMs) => set('begun', atMs),
    async found(differences, endedMs) {
      await set('differences', toText(differences), ...(endedMs === undefined ? [] : ['ended', endedMs]))
    }
  }
}

/** A line for each project: `shop 2 0 1`. */
function toText(differences: Marks['differences']): string {
  return Object.entries(differences)
    .map(([projectId, { warehouse, letters, live }]) => `${projectId} ${warehouse} ${letters} ${live}`)
    .join('\n')
}

function parseDifferences(text: string): Marks['differences'] {
  const lines = text.split('\n').filter((line) => line !== '')
  return Object.fromEntries(
    lines.map((line): [string, Differences] => {
      const [projectId = '', warehouse, letters, live] = line.split(' ')
      return [projectId, { warehouse: Number(warehouse), letters: Number(letters), live: Number(live) }]
    })
  )
}
