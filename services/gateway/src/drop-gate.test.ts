import { describe, expect, it } from 'vitest'
import { defaultProjectSettings } from '@millrace/contracts'
import type { DropRule, ProjectSettings } from '@millrace/contracts'
import type { CheckedEvent } from './acceptance.ts'
import { createDropGate } from './drop-gate.ts'

const rule = (kind: DropRule['kind'], key: string): DropRule => ({ kind, key, reason: '', by: 'cli:ann', since: '' })
const checked = (event: CheckedEvent['event']): CheckedEvent =>
  ({ index: 0, body: Buffer.alloc(0), event, eventId: 'e', generatedId: false }) as unknown as CheckedEvent

function ask(drops: readonly DropRule[] | undefined, ...events: CheckedEvent['event'][]) {
  let counted = 0
  const gate = createDropGate(() => counted++)
  const settings: ProjectSettings = { ...defaultProjectSettings, ...(drops === undefined ? {} : { drops }) }
  const verdicts = gate({ projectId: 'shop', logGeneration: 1, settings }, events.map(checked), 0)
  return { verdicts, counted: () => counted }
}

describe('the gate of the drop rules', () => {
  it('lets everything pass of a project without rules, and what no rule names', () => {
    expect(ask(undefined, { eventType: 'view' }).verdicts).toBeUndefined()
    const { verdicts, counted } = ask([rule('eventType', 'heartbeat'), rule('userId', 'bot')], {
      eventType: 'view',
      userId: 'heartbeat',
      anonymousId: 'bot'
    })
    expect([verdicts, counted()]).toEqual([undefined, 0])
  })

  it('refuses for good, and counts, what a rule names, and nothing beside it', () => {
    const rules = [rule('eventType', 'heartbeat'), rule('userId', 'bot'), rule('anonymousId', 'phone')]
    const { verdicts, counted } = ask(
      rules,
      { eventType: 'heartbeat', userId: 'ann' },
      { eventType: 'view', userId: 'ann' },
      { eventType: 'view', userId: 'bot' },
      { eventType: 'view', anonymousId: 'phone' }
    )
    // An earlier copy of it may have been stored before the rule.
    const detail = 'events with this eventType are dropped by a rule of the operator; not stored by this request'
    expect(verdicts).toMatchObject([
      { kind: 'rejected', refusal: { status: 422, code: 'event_dropped', pointer: '/eventType', detail } },
      undefined as never,
      { kind: 'rejected', refusal: { pointer: '/userId' } },
      { kind: 'rejected', refusal: { pointer: '/anonymousId' } }
    ])
    expect(counted()).toBe(3)
  })
})
