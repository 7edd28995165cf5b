import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { attribute, createIdentityFacts, maxIdsPerPerson, maxUsersPerDevice } from './identity.ts'
import type { IdentityLink, IdentitySubject } from './identity.ts'
import type { PersonEdge } from './identity-persons.ts'

const link = (anonymousId: string, userId: string, timestamp: number, eventId = `e${timestamp}`): IdentityLink => ({
  anonymousId,
  userId,
  timestamp,
  eventId
})
const at = (timestamp: number, anonymousId = 'd', userId = ''): IdentitySubject => ({ userId, anonymousId, timestamp })
const who = (subject: IdentitySubject, links: readonly IdentityLink[], edges: readonly PersonEdge[] = []) => {
  const { personId, personIdAtEvent, reason } = attribute(subject, createIdentityFacts(links, edges))
  return [personId, personIdAtEvent, reason]
}

describe('attribute', () => {
  it('takes the user that an event names, whatever its device is', () => {
    expect(who(at(5, 'd', 'u2'), [link('d', 'u1', 1)])).toEqual(['u2', 'u2', 'user'])
  })

  it('calls a device without links anonymous', () => {
    expect(who(at(5), [link('other', 'u1', 1)])).toEqual(['anon:d', 'anon:d', 'no link'])
  })

  it('knows nobody without ids, and takes a refused user id for none', () => {
    expect(who(at(5, ''), [])).toEqual(['', '', 'nobody'])
    expect(who(at(5, 'null', 'guest'), [])).toEqual(['', '', 'nobody'])
    expect(who(at(5, 'd', 'null'), [link('d', 'u1', 1)])).toEqual(['u1', 'u1', 'before'])
  })

  it('attributes what was before a login backwards, but not as of the event', () => {
    expect(who(at(5), [link('d', 'u1', 10)])).toEqual(['u1', 'anon:d', 'after'])
    expect(who(at(10), [link('d', 'u1', 10)])).toEqual(['u1', 'u1', 'before'])
  })

  it('divides a device between its users by time, equal times by event id', () => {
    const links = [link('d', 'u2', 20), link('d', 'u1', 10), link('d', 'u3', 20, 'a')]
    expect(who(at(9), links)).toEqual(['u1', 'anon:d', 'after'])
    expect(who(at(19), links)).toEqual(['u1', 'u1', 'before'])
    expect(who(at(20), links)).toEqual(['u2', 'u2', 'before'])
  })

  it('does not look back on a device of more than five users, and goes on looking ahead', () => {
    const users = (count: number) => Array.from({ length: count }, (_, user) => link('d', `u${user}`, 10 + user))
    expect(who(at(5), users(maxUsersPerDevice))).toEqual(['u0', 'anon:d', 'after'])
    expect(who(at(5), users(maxUsersPerDevice + 1))).toEqual(['anon:d', 'anon:d', 'shared'])
    expect(who(at(12), users(maxUsersPerDevice + 1))).toEqual(['u2', 'u2', 'before'])
  })

  it('follows no link of a person with more than a thousand ids, but believes the event itself', () => {
    const devices = (count: number) => Array.from({ length: count }, (_, device) => link(`d${device}`, 'u', 10))
    const full = devices(maxIdsPerPerson - 1)
    expect(who(at(15, 'd0'), full)).toEqual(['u', 'u', 'before'])
    expect(who(at(15, 'd0'), devices(maxIdsPerPerson))).toEqual(['anon:d0', 'anon:d0', 'too many ids'])
    expect(who(at(15, 'd0', 'u'), devices(maxIdsPerPerson))).toEqual(['u', 'u', 'user'])
    // A second user id of the person is one id more.
    const edges = [{ fromUserId: 'other', intoUserId: 'u' }]
    expect(who(at(15, 'd0'), full, edges)).toEqual(['anon:d0', 'anon:d0', 'too many ids'])
  })

  it('counts a device of two merged users once', () => {
    const links = Array.from({ length: maxIdsPerPerson - 2 }, (_, device) => [
      link(`d${device}`, 'u', 10),
      link(`d${device}`, 'v', 20)
    ]).flat()
    expect(who(at(25, 'd0'), links, [{ fromUserId: 'v', intoUserId: 'u' }])).toEqual(['u', 'u', 'before'])
  })

  it('follows merges of users, and forgets them when they are undone', () => {
    const links = [link('d', 'u1', 10)]
    expect(who(at(15), links, [{ fromUserId: 'u1', intoUserId: 'u9' }])).toEqual(['u9', 'u9', 'before'])
    expect(who(at(15, 'd', 'u1'), links, [{ fromUserId: 'u1', intoUserId: 'u9' }])).toEqual(['u9', 'u9', 'user'])
    expect(who(at(15), links)).toEqual(['u1', 'u1', 'before'])
  })
})

const links = fc.array(
  fc.tuple(fc.nat(2), fc.nat(7), fc.nat(6)).map(([device, user, time]) => ({ device, user, time })),
  { maxLength: 14 }
)

describe('attribution of any facts', () => {
  const subjects = [0, 1, 2].flatMap((device) => [0, 1, 2, 3, 4, 5, 6, 7].map((time) => at(time, `d${device}`)))

  it('does not depend on the order of links and merges', () => {
    fc.assert(
      fc.property(
        links,
        fc.array(fc.tuple(fc.nat(7), fc.nat(7))),
        fc.infiniteStream(fc.nat(2)),
        (drawn, pairs, dice) => {
          const all = drawn.map(({ device, user, time }, index) => link(`d${device}`, `u${user}`, time, `e${index}`))
          const edges = pairs.map(([from, into]) => ({ fromUserId: `u${from}`, intoUserId: `u${into}` }))
          const shuffle = <T>(values: readonly T[]): readonly T[] =>
            values.toSorted(() => (dice.next().value as number) - 1)
          for (const subject of subjects) {
            expect(who(subject, shuffle(all), shuffle(edges))).toEqual(who(subject, all, edges))
          }
        }
      ),
      { numRuns: 50 }
    )
  })

  it('is the plain reading of the rules', () => {
    fc.assert(
      fc.property(links, (drawn) => {
        const all = drawn.map(({ device, user, time }, index) =>
          link(`d${device}`, `u${user}`, time, `e${String(index).padStart(2, '0')}`)
        )
        for (const subject of subjects) {
          const own = all.filter(({ anonymousId }) => anonymousId === subject.anonymousId)
          const rank = ({ timestamp, eventId }: IdentityLink): string => `${timestamp}${eventId}`
          const sorted = own.toSorted((left, right) => (rank(left) < rank(right) ? -1 : 1))
          const last = sorted.filter(({ timestamp }) => timestamp <= subject.timestamp).at(-1)
          const anonymous = `anon:${subject.anonymousId}`
          const back = new Set(own.map(({ userId }) => userId)).size > 5 ? undefined : sorted[0]
          const [personId, personIdAtEvent] = who(subject, all)
          expect(personIdAtEvent).toBe(last?.userId ?? anonymous)
          expect(personId).toBe(last?.userId ?? back?.userId ?? anonymous)
        }
      })
    )
  })
})
