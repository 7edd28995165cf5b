// Unsettled events in storage, for the next run. Each client writes a list of its own, so tabs do not overwrite each
// other; a list of lists tells the next client what to take over. Taking over a list of a tab that still runs is
// harmless: the event is sent twice under one id. A list is cleared only after its events stand in another one.
import { membersOf, parseJson, textOf } from './json.ts'
import type { SafeStorage } from './storage.ts'

/** A saved event. */
export interface SavedEvent {
  readonly eventId: string
  readonly text: string
}

export interface SavedQueue {
  /** Takes over what others saved. `corrupt` counts values that could not be read. */
  recover(): { readonly events: readonly SavedEvent[]; readonly corrupt: number }
  /** Writes these events and forgets the earlier ones; the number that fitted, oldest first. */
  save(texts: readonly string[]): number
}

export interface SavedQueueDeps {
  readonly storage: SafeStorage
  /** Start of every key used. */
  readonly key: string
  /** Name of this client's own list. */
  readonly id: string
}

/** The saved events below `key`. */
export function createSavedQueue({ storage, key, id }: SavedQueueDeps): SavedQueue {
  const indexKey = `${key}.queues`
  const listKey = (name: string): string => `${key}.queue.${name}`
  let saved = 0

  const readIndex = (): { names: string[]; corrupt: number } => {
    const text = storage.read(indexKey)
    const list = parseJson(text ?? '[]')
    const names = Array.isArray(list) ? list.filter((name): name is string => typeof name === 'string') : []
    return { names, corrupt: Array.isArray(list) || text === '' ? 0 : 1 }
  }

  const save = (texts: readonly string[]): number => {
    if (texts.length === 0 && saved === 0) return 0
    let count = texts.length
    // Storage says that it is full only by failing; half as much may fit.
    while (count > 0 && !storage.write(listKey(id), `[${texts.slice(0, count).join(',')}]`)) count >>= 1
    if (count === 0) storage.write(listKey(id), undefined)
    saved = count
    const { names } = readIndex()
    if (names.includes(id) === count > 0) return count
    const next = count > 0 ? [...names, id] : names.filter((name) => name !== id)
    const noted = storage.write(indexKey, next.length === 0 ? undefined : JSON.stringify(next))
    return noted ? count : 0
  }

  return {
    recover() {
      const { names, corrupt: broken } = readIndex()
      const lists = names.map((name) => readList(storage.read(listKey(name))))
      const events = [...new Map(lists.flatMap((list) => list.events).map((event) => [event.eventId, event])).values()]
      const corrupt = lists.reduce((sum, list) => sum + list.corrupt, broken)
      if (names.length === 0 && corrupt === 0) return { events, corrupt }
      if (save(events.map(({ text }) => text)) === events.length) {
        for (const name of names) if (name !== id) storage.write(listKey(name), undefined)
        storage.write(indexKey, events.length === 0 ? undefined : JSON.stringify([id]))
      }
      return { events, corrupt }
    },
    save
  }
}

function readList(text: string | undefined): { readonly events: readonly SavedEvent[]; readonly corrupt: number } {
  if (text === undefined || text === '') return { events: [], corrupt: 0 }
  const list = parseJson(text)
  if (!Array.isArray(list)) return { events: [], corrupt: 1 }
  const events = list.flatMap((item: unknown) => {
    const eventId = textOf(membersOf(item)['eventId'])
    return eventId === undefined ? [] : [{ eventId, text: JSON.stringify(item) }]
  })
  return { events, corrupt: list.length - events.length }
}
