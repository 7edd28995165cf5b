import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { compareIds, namesDevice, namesUser, refusedIds } from './identity-ids.ts'

describe('ids that name somebody', () => {
  it.each(['', ' ', '0', 'null', 'NULL', 'Null', 'undefined', 'NaN', 'guest', 'map', '[object Object]', 'n/a', 'N/A'])(
    'are not %j',
    (id) => {
      expect([namesUser(id), namesDevice(id)]).toEqual([false, false])
    }
  )

  it.each(['u1', '7', 'Nullsen', 'guest-7', ' guest', 'größe'])('are such as %j', (id) => {
    expect([namesUser(id), namesDevice(id)]).toEqual([true, true])
  })

  it('name no user when they look like an anonymous person, since the two would mix', () => {
    expect([namesUser('anon:x'), namesDevice('anon:x')]).toEqual([false, true])
  })

  it('are the same in the warehouse, for users and for devices', () => {
    const file = new URL('../../../schemas/clickhouse/0006_identity_facts.sql', import.meta.url)
    const lists = [...readFileSync(file, 'utf8').matchAll(/(\w+Id) IN \(\n([\s\S]*?)\n {2}\)/g)]
    expect(lists.map(([, column]) => column)).toEqual(['userId', 'anonymousId'])
    for (const [, , text = ''] of lists) {
      const ids = [...text.matchAll(/'((?:[^']|'')*)'/g)].map(([, id = '']) => id.replaceAll("''", "'"))
      expect(ids).toEqual(refusedIds)
    }
  })

  it('are listed once each, and hold nothing that an SQL text has to escape but the quote', () => {
    expect(new Set(refusedIds).size).toBe(refusedIds.length)
    expect(refusedIds.filter((id) => id.includes('\\') || id.length > 40)).toEqual([])
  })
})

describe('compareIds', () => {
  it('is the order of the bytes in UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
        const bytes = Buffer.compare(Buffer.from(left), Buffer.from(right))
        expect(Math.sign(compareIds(left, right))).toBe(bytes)
      })
    )
    expect(compareIds('\u{1f600}', '\uffff')).toBeGreaterThan(0)
  })
})
