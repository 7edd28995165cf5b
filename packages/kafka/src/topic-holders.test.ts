import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { holdersIn } from './topic-holders.ts'

const none = { memberAssignment: Buffer.alloc(0) }
const member = (assignment: Record<string, number[]>) => ({
  memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({
    version: 0,
    assignment,
    userData: Buffer.alloc(0)
  })
})
const group = (groupId: string, state: string, members: readonly { memberAssignment: Buffer }[]) => ({
  groupId,
  state,
  protocolType: 'consumer',
  members
})

test('says what the members of a group hold together, and leaves out groups of other topics', () => {
  const groups = [
    group('load', 'Stable', [member({ 'events.a': [0, 2] }), member({ 'events.a': [1], 'events.b': [0] }), none]),
    group('other', 'Stable', [member({ 'events.b': [1] }), none]),
    group('gone', 'Empty', [])
  ]
  expect([...holdersIn(groups, 'events.a')]).toEqual([['load', new Set([0, 2, 1])]])
})

test('a group that is being assigned holds nothing, which is not the same as being absent', () => {
  const groups = [
    group('joining', 'PreparingRebalance', [none, none]),
    group('syncing', 'CompletingRebalance', [none]),
    { ...group('connect-1', 'CompletingRebalance', [none]), protocolType: 'connect' }
  ]
  expect([...holdersIn(groups, 'events.a')]).toEqual([
    ['joining', new Set()],
    ['syncing', new Set()]
  ])
})
