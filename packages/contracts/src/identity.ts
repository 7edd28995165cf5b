// Who did an event: a pure function of the facts (links and manual merges), which are sets. So it does not matter in
// which order events, identifications and merges arrived, nor how often. The warehouse computes the same in SQL
// (schemas/clickhouse); tests compare the two for every event.
import { anonymousPrefix, compareIds, namesDevice, namesUser } from './identity-ids.ts'
import { createPersons } from './identity-persons.ts'
import type { Person, PersonEdge } from './identity-persons.ts'

/** An anonymous id on which more user ids were seen is a shared device: it says nothing about the past. */
export const maxUsersPerDevice = 5

/** A person with more ids (user ids, and anonymous ids linked with them) is no single one: its links tell nothing. */
export const maxIdsPerPerson = 1_000

/**
 * A record that carries both ids says that the user was at the device at that time. What it says stands, also when its
 * event is shown by another copy: nothing that arrives later makes a link untrue, so links are a set that only grows.
 */
export interface IdentityLink {
  readonly anonymousId: string
  readonly userId: string
  /** Event time, epoch milliseconds. */
  readonly timestamp: number
  readonly eventId: string
}

/** The part of an event that decides who did it. Absent ids are empty. */
export interface IdentitySubject {
  readonly userId: string
  readonly anonymousId: string
  /** Event time, epoch milliseconds. */
  readonly timestamp: number
}

/** What is known in one project. */
export interface IdentityFacts {
  /** Links of an anonymous id in the order of `compareLinks`; repeats say nothing. */
  linksOf(anonymousId: string): readonly IdentityLink[]
  personOf(userId: string): Person
  /** How many different anonymous ids are linked with user ids of this person. */
  deviceCount(personId: string): number
}

/**
 * Why a person was chosen. `user`: the event names the user. `before`, `after`: the last link up to the event, or else
 * the first one behind it, names the user. `too many ids`: such a link is there, but its person is over the limit.
 * `shared`: links are there, but only behind the event and of too many users. `no link`: none is there. `nobody`: the
 * event names neither.
 */
export type AttributionReason = 'user' | 'before' | 'after' | 'too many ids' | 'shared' | 'no link' | 'nobody'

export interface Attribution {
  /** By all that is known; empty when the event names nobody. */
  readonly personId: string
  /** By links up to the event alone. */
  readonly personIdAtEvent: string
  readonly reason: AttributionReason
  /** The link that decided, or that was there and was not followed. */
  readonly link?: IdentityLink
}

/** Who did the event, now and as of the event. */
export function attribute(subject: IdentitySubject, facts: IdentityFacts): Attribution {
  const { userId, anonymousId, timestamp } = subject
  if (namesUser(userId)) return same(facts.personOf(userId).personId, 'user')
  if (!namesDevice(anonymousId)) return same('', 'nobody')
  const anonymous = anonymousPrefix + anonymousId
  const links = facts.linksOf(anonymousId)
  const [first] = links
  if (first === undefined) return same(anonymous, 'no link')
  const before = links.findLast((link) => link.timestamp <= timestamp)
  if (before === undefined && isShared(links)) return { ...same(anonymous, 'shared'), link: first }
  const link = before ?? first
  const person = facts.personOf(link.userId)
  if (person.userIds.length + facts.deviceCount(person.personId) > maxIdsPerPerson) {
    return { ...same(anonymous, 'too many ids'), link }
  }
  const { personId } = person
  return before === undefined
    ? { personId, personIdAtEvent: anonymous, reason: 'after', link }
    : { ...same(personId, 'before'), link }
}

/** Whether these links of one anonymous id are of too many users to tell about the past. */
export function isShared(links: readonly IdentityLink[]): boolean {
  return new Set(links.map(({ userId }) => userId)).size > maxUsersPerDevice
}

/** The order of links: event time, then event id, then user id, both by their bytes. */
export function compareLinks(left: IdentityLink, right: IdentityLink): number {
  return (
    left.timestamp - right.timestamp || compareIds(left.eventId, right.eventId) || compareIds(left.userId, right.userId)
  )
}

/** Facts from all links of a project, without refused ids and repeated or not, and the merges in force. */
export function createIdentityFacts(links: readonly IdentityLink[], edges: readonly PersonEdge[]): IdentityFacts {
  const persons = createPersons(edges)
  const byDevice = Map.groupBy(links, ({ anonymousId }) => anonymousId)
  for (const group of byDevice.values()) group.sort(compareLinks)
  const devices = new Map<string, Set<string>>()
  for (const { anonymousId, userId } of links) {
    const { personId } = persons.personOf(userId)
    const known = devices.get(personId)
    if (known === undefined) devices.set(personId, new Set([anonymousId]))
    else known.add(anonymousId)
  }
  return {
    linksOf: (anonymousId) => byDevice.get(anonymousId) ?? [],
    personOf: (userId) => persons.personOf(userId),
    deviceCount: (personId) => devices.get(personId)?.size ?? 0
  }
}

function same(personId: string, reason: AttributionReason): Attribution {
  return { personId, personIdAtEvent: personId, reason }
}
