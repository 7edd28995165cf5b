// The last answers of this process, for when neither Redis nor the warehouse can be asked. Bounded in bytes; what was used
// least recently goes first.
import type { Clock } from '@millrace/kernel'
import type { Entry } from './envelope.ts'

export interface LocalAnswers {
  get(key: string): Entry | undefined
  /**
   * Keeps the entry; not one that is larger than an eighth of all the room, nor one of another generation than the project
   * is known to have: it was begun before a purge.
   */
  set(entry: Entry): void
  /** Forgets what there is of a project but answers of `generation`. */
  keepOnly(projectId: string, generation: string): void
  /** The generation that `keepOnly` was told last. */
  generationOf(projectId: string): string | undefined
  readonly bytes: number
}

/** How many of the oldest are looked at whenever one is added: those that are of no use any more go before their turn. */
const lookedAt = 3

/** An empty memory of at most `maxBytes`. */
export function createLocalAnswers(maxBytes: number, clock: Pick<Clock, 'now'>): LocalAnswers {
  const entries = new Map<string, Entry>()
  const generations = new Map<string, string>()
  let bytes = 0
  const isOver = ({ staleUntilMs }: Entry): boolean => clock.now() >= staleUntilMs
  const remove = (entry: Entry): void => {
    entries.delete(entry.key)
    bytes -= sizeOf(entry)
  }
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      if (isOver(entry)) {
        remove(entry)
        return undefined
      }
      entries.delete(key)
      entries.set(key, entry)
      return entry
    },
    set(entry) {
      if ((generations.get(entry.projectId) ?? entry.generation) !== entry.generation) return
      const before = entries.get(entry.key)
      if (before !== undefined) remove(before)
      if (sizeOf(entry) * 8 > maxBytes) return
      entries.set(entry.key, entry)
      bytes += sizeOf(entry)
      let seen = 0
      for (const oldest of entries.values()) {
        if (bytes <= maxBytes && seen++ >= lookedAt) break
        if (bytes > maxBytes || isOver(oldest)) remove(oldest)
      }
    },
    keepOnly(projectId, generation) {
      if (generations.get(projectId) === generation) return
      generations.set(projectId, generation)
      for (const entry of entries.values())
        if (entry.projectId === projectId && entry.generation !== generation) remove(entry)
    },
    generationOf: (projectId) => generations.get(projectId),
    get bytes() {
      return bytes
    }
  }
}

/** The body, and about what is around it. */
function sizeOf({ body }: Entry): number {
  return body.byteLength + 500
}
