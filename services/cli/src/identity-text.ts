// What `millrace identity explain` tells a person.
import { maxIdsPerPerson, maxUsersPerDevice } from '@millrace/contracts'
import { maxShown } from '@millrace/operations/identity-explain'
import type { ExplainedDevice, ExplainedEvent, ExplainedUser } from '@millrace/operations/identity-explain'
import type { IdentityMerge } from '@millrace/operations/identity-merges'
import { toTable } from './output.ts'

/** An event with the facts that decided. */
export function renderEvent(explained: ExplainedEvent): string {
  const { eventId, eventType, event, personId, personIdAtEvent, person, merges, shown } = explained
  const isCurrent = shown.personId === personId && shown.personIdAtEvent === personIdAtEvent
  return [
    `event            ${eventId} (${eventType})`,
    `time             ${timeText(event.timestamp)}`,
    `user id          ${event.userId || '-'}`,
    `anonymous id     ${event.anonymousId || '-'}`,
    `person           ${personId || '-'}`,
    `as of the event  ${personIdAtEvent || '-'}`,
    `because          ${because(explained)}`,
    ...(person === undefined || person.userIds.length === 1 ? [] : [`merged user ids  ${person.userIds.join(', ')}`]),
    ...merges.map((merge) => `merge            ${mergeText(merge)}`),
    ...(isCurrent ? [] : [`SQL still shows  ${shown.personId || '-'}, as of the event ${shown.personIdAtEvent || '-'}`])
  ].join('\n')
}

/** An anonymous id with its users over time. */
export function renderDevice({ anonymousId, users, shared, intervals }: ExplainedDevice, colour: boolean): string {
  const rows = intervals.map(({ from, to, userId, personId }) => [
    from?.toISOString() ?? 'the beginning',
    to?.toISOString() ?? 'now',
    userId,
    personId
  ])
  return [
    `anonymous id ${anonymousId}`,
    `users        ${users}`,
    ...(shared
      ? [`shared       more than ${maxUsersPerDevice} users: nothing before the first link is attributed`]
      : []),
    intervals.length === 0
      ? 'events without a user id stay anonymous: its users have too many ids'
      : `\n${toTable(['from', 'to', 'user', 'person'], rows, colour)}`,
    ...(intervals.length === maxShown ? [`the first ${maxShown} intervals`] : [])
  ].join('\n')
}

/** A user id with its person, merges and devices. */
export function renderUser({ userId, person, merges, devices, ...counts }: ExplainedUser, colour: boolean): string {
  const { anonymousIds, overLimit } = counts
  const merged = merges.map(({ mergeId, fromUserId, intoUserId, at, actor, reason, undone }) => [
    `#${mergeId}`,
    fromUserId,
    intoUserId,
    at.toISOString(),
    actor,
    reason,
    undone === undefined ? 'in force' : `undone ${undone.at.toISOString()}`
  ])
  const seen = devices.map(({ anonymousId, first, last }) => [anonymousId, first.toISOString(), last.toISOString()])
  const headers = ['merge', 'from', 'into', 'at', 'by', 'reason', 'state']
  return [
    `user id       ${userId}`,
    `person        ${person.personId}`,
    `user ids      ${person.userIds.join(', ')}`,
    `anonymous ids ${anonymousIds}`,
    ...(overLimit ? [`over limit    more than ${maxIdsPerPerson} ids: its links attribute nothing`] : []),
    ...(merged.length === 0 ? [] : [`\n${toTable(headers, merged, colour)}`]),
    ...(seen.length === 0 ? [] : [`\n${toTable(['anonymous id', 'first seen', 'last seen'], seen, colour)}`]),
    ...(anonymousIds > maxShown ? [`the ${maxShown} with the newest links`] : [])
  ].join('\n')
}

function because({ reason, link }: ExplainedEvent): string {
  const seen = link === undefined ? '' : `${link.userId} at ${timeText(link.timestamp)} (event ${link.eventId})`
  switch (reason) {
    case 'user':
      return 'the event names the user'
    case 'before':
      return `the last user on the device was ${seen}`
    case 'after':
      return `the first user on the device was ${seen}, after this event`
    case 'shared':
      return `more than ${maxUsersPerDevice} users share the device, and the first one came later: ${seen}`
    case 'too many ids':
      return `the link is not followed, its person has more than ${maxIdsPerPerson} ids: ${seen}`
    case 'no link':
      return 'no event links this anonymous id with a user'
    case 'nobody':
      return 'the event names neither a user nor a device'
  }
}

function mergeText({ mergeId, fromUserId, intoUserId, at, actor, reason }: IdentityMerge): string {
  return `${mergeId}: ${fromUserId} into ${intoUserId}, ${at.toISOString()} by ${actor}${reason === '' ? '' : `, ${reason}`}`
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
