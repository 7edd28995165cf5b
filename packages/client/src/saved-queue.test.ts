import { describe, expect, it } from 'vitest'
import { createSavedQueue } from './saved-queue.ts'
import { createSafeStorage } from './storage.ts'
import type { ClientStorage } from './storage.ts'
import { createMemoryStorage } from '../test/manual-runtime.ts'

const text = (eventId: string): string => JSON.stringify({ eventId, eventType: 'x' })
const idsOf = (events: readonly { readonly eventId: string }[]): string[] => events.map(({ eventId }) => eventId)

function open(storage: ClientStorage, id: string) {
  return createSavedQueue({ storage: createSafeStorage(storage), key: 'k', id })
}

describe('saved events', () => {
  it('stand in one list per client, each named once, and leave nothing behind when they are settled', () => {
    const storage = createMemoryStorage()
    const [one, two] = [open(storage, 'one'), open(storage, 'two')]
    expect([one.save([text('a')]), two.save([text('b')]), one.save([text('a'), text('c')])]).toEqual([1, 1, 2])
    expect(JSON.parse(storage.values.get('k.queues') ?? '')).toEqual(['one', 'two'])
    expect([one.save([]), two.save([])]).toEqual([0, 0])
    expect([...storage.values]).toEqual([])
  })

  it('are taken over into the list of the next client before the others are cleared', () => {
    const storage = createMemoryStorage()
    open(storage, 'one').save([text('a'), text('b')])
    open(storage, 'two').save([text('b'), text('c')])
    const written: string[] = []
    const spied = {
      ...storage,
      setItem: (key: string, value: string) => (written.push(`set ${key}`), storage.setItem(key, value)),
      removeItem: (key: string) => (written.push(`remove ${key}`), storage.removeItem(key))
    }
    const { events, corrupt } = open(spied, 'three').recover()
    expect([idsOf(events), corrupt]).toEqual([['a', 'b', 'c'], 0])
    expect(written).toEqual([
      'set k.queue.three',
      'set k.queues',
      'remove k.queue.one',
      'remove k.queue.two',
      'set k.queues'
    ])
    expect(idsOf(open(storage, 'four').recover().events)).toEqual(['a', 'b', 'c'])
  })

  it('stay where they are when the next client cannot write its own list', () => {
    const storage = createMemoryStorage()
    open(storage, 'one').save([text('a')])
    const before = [...storage.values]
    const full = {
      ...storage,
      setItem: () => {
        throw new Error('full')
      }
    }
    expect(idsOf(open(full, 'two').recover().events)).toEqual(['a'])
    expect([...storage.values]).toEqual(before)
  })

  it('that no list names count as not saved', () => {
    const storage = createMemoryStorage()
    const half = {
      ...storage,
      setItem: (key: string, value: string) => {
        if (key === 'k.queues') throw new Error('full')
        storage.setItem(key, value)
      }
    }
    expect(open(half, 'one').save([text('a')])).toBe(0)
  })

  it('are named again by a client whose list another one took over', () => {
    const storage = createMemoryStorage()
    const one = open(storage, 'one')
    one.save([text('a')])
    open(storage, 'two').recover()
    one.save([text('a'), text('b')])
    expect(JSON.parse(storage.values.get('k.queues') ?? '')).toEqual(['two', 'one'])
    expect(idsOf(open(storage, 'three').recover().events)).toEqual(['a', 'b'])
  })

  it('are cleared in a storage that cannot remove', () => {
    const { values, getItem, setItem } = createMemoryStorage()
    const one = open({ getItem, setItem }, 'one')
    one.save([text('a')])
    one.save([])
    expect([...values.values()]).toEqual(['', ''])
    expect(open({ getItem, setItem }, 'two').recover()).toEqual({ events: [], corrupt: 0 })
  })
})
