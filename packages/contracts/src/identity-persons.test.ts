import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { createPersons } from './identity-persons.ts'
import type { PersonEdge } from './identity-persons.ts'

const edge = (fromUserId: string, intoUserId: string): PersonEdge => ({ fromUserId, intoUserId })

/** Merges as the procedure writes them: always the person of one id into the person of another. */
function forest(pairs: readonly (readonly [number, number])[]): readonly PersonEdge[] {
  const edges: PersonEdge[] = []
  for (const [from, into] of pairs) {
    const persons = createPersons(edges)
    const [one, other] = [persons.personOf(`u${from}`).personId, persons.personOf(`u${into}`).personId]
    if (one !== other) edges.push(edge(one, other))
  }
  return edges
}

const pairs = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 15 })

/** Every user id with its person, to compare two states whole. */
const stateOf = (edges: readonly PersonEdge[]): readonly unknown[] => {
  const persons = createPersons(edges)
  return Array.from({ length: 10 }, (_, user) => persons.personOf(`u${user}`))
}

describe('createPersons', () => {
  it('leaves a user id without merges alone', () => {
    expect(createPersons([]).personOf('u1')).toEqual({ personId: 'u1', userIds: ['u1'] })
  })

  it('follows merges to the one that was merged into no other', () => {
    const persons = createPersons([edge('a', 'b'), edge('b', 'c'), edge('d', 'c')])
    for (const userId of ['a', 'b', 'c', 'd']) {
      expect(persons.personOf(userId)).toEqual({ personId: 'c', userIds: ['a', 'b', 'c', 'd'] })
    }
    expect(persons.userIds).toEqual(['a', 'b', 'c', 'd'])
  })

  it('has an answer for edges that nobody should have written', () => {
    expect(createPersons([edge('a', 'a')]).personOf('a')).toEqual({ personId: 'a', userIds: ['a'] })
    expect(createPersons([edge('b', 'a'), edge('a', 'b')]).personOf('b').personId).toBe('a')
    expect(createPersons([edge('x', 'c'), edge('x', 'b')]).personOf('x').personId).toBe('b')
  })

  it('gives every member of a person the same person, whatever the order of any edges', () => {
    fc.assert(
      fc.property(pairs, fc.infiniteStream(fc.nat()), (drawn, ranks) => {
        const edges = drawn.map(([from, into]) => edge(`u${from}`, `u${into}`))
        const shuffled = edges.toSorted(() => ((ranks.next().value as number) % 3) - 1)
        expect(stateOf(shuffled)).toEqual(stateOf(edges))
        const persons = createPersons(edges)
        for (const { fromUserId, intoUserId } of edges) {
          expect(persons.personOf(fromUserId)).toEqual(persons.personOf(intoUserId))
        }
      })
    )
  })

  it('keeps the person of the target when a merge is added', () => {
    fc.assert(
      fc.property(pairs, fc.nat(9), fc.nat(9), (drawn, from, into) => {
        const before = createPersons(forest(drawn))
        const after = createPersons(forest([...drawn, [from, into]]))
        expect(after.personOf(`u${from}`).personId).toBe(before.personOf(`u${into}`).personId)
      })
    )
  })

  it('is exactly what it was after a merge is taken back, whichever it is', () => {
    fc.assert(
      fc.property(pairs, fc.nat(9), fc.nat(9), fc.nat(20), (drawn, from, into, position) => {
        const edges = forest(drawn)
        const added = forest([...drawn, [from, into]]).slice(edges.length)
        const at = position % (edges.length + 1)
        const merged = [...edges.slice(0, at), ...added, ...edges.slice(at)]
        expect(stateOf(merged.filter((each) => !added.includes(each)))).toEqual(stateOf(edges))
      })
    )
  })
})
