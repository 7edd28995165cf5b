import { describe, expect, it } from 'vitest'
import { eventColumns } from '@millrace/contracts'
import { joinLines } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'
import type { WarehouseEntry } from './entry.ts'
import { warehouseTables } from './tables.ts'

const lineOf = (text: string): Line => ({ bytes: Buffer.from(`${text}\n`), start: 0, end: text.length + 1 })

const entry = (change: Partial<WarehouseEntry>): WarehouseEntry => ({
  projectId: 'shop',
  userId: '',
  anonymousId: '',
  timestampMs: 1_000,
  event: lineOf('e'),
  link: undefined,
  ...change
})

function linesOf(name: string, entries: readonly WarehouseEntry[]): readonly string[] {
  const table = warehouseTables.find((each) => each.name === name)
  return (table?.linesOf(entries) ?? []).map((line) => String(joinLines([line])[0]))
}

describe('tables of the warehouse', () => {
  it('are loaded in this order: the events, then what is derived from them', () => {
    expect(warehouseTables.map(({ name }) => name)).toEqual(['events_raw', 'identity_links', 'first_seen'])
    expect(warehouseTables[0]?.columns.map(({ name }) => name)).toEqual(eventColumns.map(({ name }) => name))
  })

  it('take one line for each event, and links where there are some', () => {
    const entries = [entry({ event: lineOf('1') }), entry({ event: lineOf('2'), link: lineOf('l') })]
    expect(linesOf('events_raw', entries)).toEqual(['1\n', '2\n'])
    expect(linesOf('identity_links', entries)).toEqual(['l\n'])
  })
})

describe('first_seen', () => {
  it('has the earliest time of each id in a batch, whatever the order, and tells users, devices and projects apart', () => {
    const entries = [
      entry({ userId: 'x', timestampMs: 5 }),
      entry({ projectId: 'blog', userId: 'x', timestampMs: 1 }),
      entry({ anonymousId: 'x', timestampMs: 4 }),
      entry({ userId: 'x', anonymousId: 'd "1"\n', timestampMs: 3 }),
      entry({ userId: 'x', timestampMs: 9 })
    ]
    const line = (projectId: string, idKind: string, id: string, ms: number): string =>
      `${projectId}\t${idKind}\t${id}\t1970-01-01 00:00:00.00${ms}\n`
    const expected = [
      line('shop', 'user', 'x', 3),
      line('shop', 'anonymous', 'x', 4),
      line('shop', 'anonymous', 'd "1"\\n', 3),
      line('blog', 'user', 'x', 1)
    ]
    expect(linesOf('first_seen', entries)).toEqual(expected)
    expect(linesOf('first_seen', entries.toReversed())).toHaveLength(expected.length)
    expect(linesOf('first_seen', entries.toReversed())).toEqual(expect.arrayContaining(expected))
  })

  it('has no line for events that name nobody', () => {
    expect(linesOf('first_seen', [entry({})])).toEqual([])
  })
})
