import { expect, test } from 'vitest'
import { UsageError } from '../output.ts'
import { groupsOf } from './reconcile.ts'

test('groups of another name are named as a replay names them, and the others are called what they do', () => {
  expect(groupsOf(undefined)).toEqual({})
  expect(groupsOf('load=eu-load, process=eu-process,aggregate=eu')).toEqual({
    loadGroup: 'eu-load',
    processGroup: 'eu-process',
    aggregateGroup: 'eu'
  })
  expect(groupsOf('load')).toEqual({ loadGroup: 'load' })
})

test('a group that is not compared is refused', () => {
  for (const group of ['record=eu', 'eu-load', 'load=', ''])
    expect(() => groupsOf(group), group).toThrow(
      new UsageError(
        `--group takes load, process, aggregate, or such as load=eu-load for another consumer group, not '${group}'`
      )
    )
})
