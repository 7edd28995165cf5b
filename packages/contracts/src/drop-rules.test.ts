import { describe, expect, it } from 'vitest'
import { dropRuleProblem, maxDropRules, parseDropRules } from './drop-rules.ts'
import { changeProjectSettings, parseProjectSettings } from './project-settings.ts'

const rule = { kind: 'userId', key: 'bot', reason: 'flood', by: 'cli:ann', since: '2026-01-31T10:00:00.000Z' }

describe('drop rules', () => {
  it('are part of the settings of a project, and stay when others are changed', () => {
    expect(parseProjectSettings({ drops: [rule] }).settings.drops).toEqual([rule])
    const { stored } = changeProjectSettings({ drops: [rule] }, [['keyTemplate', 'eventType:eventId']])
    expect(parseProjectSettings(stored).settings).toMatchObject({ drops: [rule], keyTemplate: 'eventType:eventId' })
  })

  it('are absent when there are none', () => {
    for (const drops of [undefined, null, []]) expect('drops' in parseProjectSettings({ drops }).settings).toBe(false)
  })

  it('that are wrong are left out, each with its problem; the others hold', () => {
    const { rules, problems } = parseDropRules([rule, { kind: 'email', key: 'x' }, { kind: 'userId', key: '' }, 7])
    expect(rules).toEqual([rule])
    expect(problems).toEqual([
      'drops: kind must be eventType, userId, anonymousId',
      'drops: key must be a text of 1 to 255 characters',
      'drops: a rule must be an object'
    ])
    expect(parseDropRules('all').problems).toEqual(['drops must be a list of rules'])
  })

  it('are bounded in number and length', () => {
    const many = parseDropRules(Array.from({ length: maxDropRules + 1 }, (_, at) => ({ ...rule, key: `u${at}` })))
    expect([many.rules.length, many.problems]).toEqual([100, ['drops must be at most 100 rules']])
    expect(dropRuleProblem('userId', 'x'.repeat(255))).toBeUndefined()
    expect(dropRuleProblem('userId', 'x'.repeat(256))).toMatch(/1 to 255/)
  })
})
