// Why the warehouse attributes an event, an anonymous id or a user id as it does: the facts, read from their tables
// without the dictionaries, and the decision by the pure function.
import { attribute, createPersons, maxIdsPerPerson, maxUsersPerDevice } from '@millrace/contracts'
import type { Attribution, IdentityLink, IdentitySubject, Person, Persons } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import { inForce, readMerges } from './identity-merges.ts'
import type { IdentityMerge } from './identity-merges.ts'

export interface ExplainDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
}

/** An event, why it is attributed as it is, and what the warehouse answers now. */
export interface ExplainedEvent extends Attribution {
  readonly eventId: string
  readonly eventType: string
  readonly event: IdentitySubject
  /** Person of the user id that decided, when there is one. */
  readonly person: Person | undefined
  readonly merges: readonly IdentityMerge[]
  /** The columns of the view; they follow new facts within seconds. */
  readonly shown: { readonly personId: string; readonly personIdAtEvent: string }
}

/** An anonymous id: whose it was, and when. */
export interface ExplainedDevice {
  readonly anonymousId: string
  readonly users: number
  /** Too many users: nothing before the first link is attributed. */
  readonly shared: boolean
  readonly intervals: readonly DeviceInterval[]
}

export interface DeviceInterval {
  /** Undefined: from the beginning. */
  readonly from: Date | undefined
  /** The last millisecond; undefined: until now. */
  readonly to: Date | undefined
  readonly userId: string
  readonly personId: string
}

/** A user id: its person, what was merged, and its devices. */
export interface ExplainedUser {
  readonly userId: string
  readonly person: Person
  readonly anonymousIds: number
  /** Too many ids: links of this person tell nothing. */
  readonly overLimit: boolean
  /** Every merge that names one of the person's user ids, undone ones included. */
  readonly merges: readonly IdentityMerge[]
  /** Devices, the newest link first; at most `maxShown`. */
  readonly devices: readonly { readonly anonymousId: string; readonly first: Date; readonly last: Date }[]
}

/** Most intervals and devices that are listed. */
export const maxShown = 50

interface EventShape {
  readonly eventId: string
  readonly eventType: string
  readonly userId: string
  readonly anonymousId: string
  readonly ms: string
  readonly personId: string
  readonly personIdAtEvent: string
}

/** Why an event is attributed as it is. Throws PIPE_NOT_FOUND when the warehouse does not have it. */
export async function explainEvent(deps: ExplainDeps, projectId: string, eventId: string): Promise<ExplainedEvent> {
  const [row] = await deps.clickhouse.rows<EventShape>(
    `SELECT eventId, eventType, userId, anonymousId, toUnixTimestamp64Milli(timestamp) AS ms, personId, personIdAtEvent
     FROM events WHERE projectId = {projectId:String} AND eventId = {eventId:String} ORDER BY timestamp LIMIT 1`,
    { projectId, eventId }
  )
  if (row === undefined) throw new AppError('PIPE_NOT_FOUND', `the warehouse has no event '${eventId}' of ${projectId}`)
  const event = { userId: row.userId, anonymousId: row.anonymousId, timestamp: Number(row.ms) }
  const { merges, persons } = await readPersons(deps, projectId)
  const links = event.anonymousId === '' ? [] : await linksAround(deps, projectId, event)
  const counts = new Map<string, number>()
  for (const { userId } of links) {
    const person = persons.personOf(userId)
    if (!counts.has(person.personId)) counts.set(person.personId, await countDevices(deps, projectId, person))
  }
  const attribution = attribute(event, {
    linksOf: () => links,
    personOf: (userId) => persons.personOf(userId),
    deviceCount: (personId) => counts.get(personId) ?? 0
  })
  const decisive = attribution.reason === 'user' ? event.userId : attribution.link?.userId
  const person = decisive === undefined ? undefined : persons.personOf(decisive)
  return {
    ...attribution,
    eventId,
    eventType: row.eventType,
    event,
    person,
    merges: person === undefined ? [] : naming(inForce(merges), person),
    shown: { personId: row.personId, personIdAtEvent: row.personIdAtEvent }
  }
}

/** Whose an anonymous id was, and when. Throws PIPE_NOT_FOUND when no event links it with a user. */
export async function explainDevice(
  deps: ExplainDeps,
  projectId: string,
  anonymousId: string
): Promise<ExplainedDevice> {
  const { persons } = await readPersons(deps, projectId)
  const params = { projectId, anonymousId }
  const [found] = await deps.clickhouse.rows<{ users: string }>(
    `SELECT uniqExact(userId) AS users FROM identity_links
     WHERE projectId = {projectId:String} AND anonymousId = {anonymousId:String}`,
    params
  )
  const users = Number(found?.users ?? 0)
  if (users === 0) throw new AppError('PIPE_NOT_FOUND', `no event of ${projectId} links '${anonymousId}' with a user`)
  const rows = await deps.clickhouse.rows<{ fromMs: string; toMs: string; userId: string }>(
    `SELECT fromMs, toMs, userId FROM identity_intervals
     WHERE projectId = {projectId:String} AND anonymousId = {anonymousId:String} ORDER BY fromMs LIMIT ${maxShown}`,
    params
  )
  const intervals = rows.map(({ fromMs, toMs, userId }) => ({
    from: timeOf(fromMs),
    to: timeOf(toMs),
    userId,
    personId: persons.personOf(userId).personId
  }))
  return { anonymousId, users, shared: users > maxUsersPerDevice, intervals }
}

/** The person of a user id. Answers for every id: one that nobody saw is a person of its own. */
export async function explainUser(deps: ExplainDeps, projectId: string, userId: string): Promise<ExplainedUser> {
  const { merges, persons } = await readPersons(deps, projectId)
  const person = persons.personOf(userId)
  const anonymousIds = await countDevices(deps, projectId, person)
  const rows = await deps.clickhouse.rows<{ anonymousId: string; first: string; last: string }>(
    `SELECT anonymousId, toUnixTimestamp64Milli(min(timestamp)) AS first, toUnixTimestamp64Milli(max(timestamp)) AS last
     FROM identity_links WHERE projectId = {projectId:String} AND userId IN {userIds:Array(String)}
     GROUP BY anonymousId ORDER BY last DESC, anonymousId LIMIT ${maxShown}`,
    { projectId, userIds: person.userIds }
  )
  return {
    userId,
    person,
    anonymousIds,
    overLimit: person.userIds.length + anonymousIds > maxIdsPerPerson,
    merges: naming(merges, person),
    devices: rows.map(({ anonymousId, first, last }) => ({
      anonymousId,
      first: new Date(Number(first)),
      last: new Date(Number(last))
    }))
  }
}

async function readPersons(
  { postgres }: ExplainDeps,
  projectId: string
): Promise<{ readonly merges: readonly IdentityMerge[]; readonly persons: Persons }> {
  const { merges } = await readMerges(postgres, projectId)
  return { merges, persons: createPersons(inForce(merges)) }
}

/** Of the links of a device those that can decide: the first, the last up to the event, and enough to see many users. */
async function linksAround(
  { clickhouse }: ExplainDeps,
  projectId: string,
  { anonymousId, timestamp }: IdentitySubject
): Promise<readonly IdentityLink[]> {
  const select = `SELECT anonymousId, userId, toUnixTimestamp64Milli(timestamp) AS ms, eventId FROM identity_links
    WHERE projectId = {projectId:String} AND anonymousId = {anonymousId:String}`
  const rows = await clickhouse.rows<{ anonymousId: string; userId: string; ms: string; eventId: string }>(
    `SELECT DISTINCT * FROM (
       SELECT * FROM (${select} ORDER BY ms, eventId, userId LIMIT 1)
       UNION ALL SELECT * FROM (${select} AND ms <= {at:Int64} ORDER BY ms DESC, eventId DESC, userId DESC LIMIT 1)
       UNION ALL SELECT * FROM (${select} ORDER BY ms, eventId, userId LIMIT 1 BY userId LIMIT ${maxUsersPerDevice + 1})
     ) ORDER BY ms, eventId, userId`,
    { projectId, anonymousId, at: timestamp }
  )
  return rows.map(({ ms, ...link }) => ({ ...link, timestamp: Number(ms) }))
}

async function countDevices({ clickhouse }: ExplainDeps, projectId: string, { userIds }: Person): Promise<number> {
  const [row] = await clickhouse.rows<{ devices: string }>(
    `SELECT uniqExact(anonymousId) AS devices FROM identity_links
     WHERE projectId = {projectId:String} AND userId IN {userIds:Array(String)}`,
    { projectId, userIds }
  )
  return Number(row?.devices ?? 0)
}

function naming(merges: readonly IdentityMerge[], { userIds }: Person): readonly IdentityMerge[] {
  const own = new Set(userIds)
  return merges.filter(({ fromUserId, intoUserId }) => own.has(fromUserId) || own.has(intoUserId))
}

/** A bound of an interval; the far ends of time are no bounds. */
function timeOf(ms: string): Date | undefined {
  const value = Number(ms)
  return Math.abs(value) > 8_640_000_000_000_000 ? undefined : new Date(value)
}
