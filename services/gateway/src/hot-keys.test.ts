import { describe, expect, it } from 'vitest'
import { defaultProjectSettings } from '@millrace/contracts'
import type { ProjectContext } from '@millrace/contracts'
import { createManualClock } from '@millrace/kernel'
import type { CheckedEvent } from './acceptance.ts'
import { createHotKeys, mergeHotWindows } from './hot-keys.ts'

// A window starts at multiples of ten seconds.
const startMs = Date.UTC(2026, 0, 1)
const project = (projectId: string): ProjectContext => ({
  projectId,
  logGeneration: 1,
  settings: defaultProjectSettings
})
const event = (eventType: string, userId?: string): CheckedEvent => ({
  index: 0,
  body: Buffer.alloc(0),
  event: { eventType, ...(userId === undefined ? {} : { userId }) },
  eventId: 'e',
  generatedId: false,
  time: { timestamp: 0, dependsOnReceipt: false } as unknown as CheckedEvent['time']
})

function setup(maxProjects?: number) {
  const clock = createManualClock(startMs)
  const hot = createHotKeys(clock, maxProjects)
  const send = (projectId: string, ...events: CheckedEvent[]): void => {
    expect(hot.gate(project(projectId), events, clock.now())).toBeUndefined()
  }
  return { clock, hot, send }
}

describe('hot keys', () => {
  it('counts types and users of each project apart, the busiest project first', () => {
    const { hot, send } = setup()
    send('calm', event('view', 'ann'))
    send('loud', event('view', 'ann'), event('view'), event('click', 'ben'), event('view', 'ann'))
    const [window] = hot.view()
    expect(window).toMatchObject({ startedAt: '2026-01-01T00:00:00.000Z', complete: false, eventsBeyond: 0 })
    expect(window?.projects.map(({ projectId }) => projectId)).toEqual(['loud', 'calm'])
    expect(window?.projects[0]).toEqual({
      projectId: 'loud',
      eventTypes: {
        total: 4,
        unseen: 0,
        keys: [
          { key: 'view', count: 3, error: 0 },
          { key: 'click', count: 1, error: 0 }
        ]
      },
      users: {
        total: 3,
        unseen: 0,
        keys: [
          { key: 'ann', count: 2, error: 0 },
          { key: 'ben', count: 1, error: 0 }
        ]
      },
      anonymous: { total: 0, unseen: 0, keys: [] }
    })
  })

  it('counts who has no user id by the anonymous id', () => {
    const { hot, send } = setup()
    const device = { ...event('view'), event: { eventType: 'view', anonymousId: 'phone' } }
    send('shop', device, device, { ...device, event: { ...device.event, userId: 'ann' } })
    const [project] = hot.view()[0]?.projects ?? []
    expect(project?.anonymous.keys).toEqual([{ key: 'phone', count: 2, error: 0 }])
    expect(project?.users.keys).toEqual([{ key: 'ann', count: 1, error: 0 }])
  })

  it('keeps the last whole window beside the one that runs, and forgets it when the next one was empty', async () => {
    const { clock, hot, send } = setup()
    const windows = (): unknown => hot.view().map(({ startedAt, complete }) => [startedAt.slice(17, 19), complete])
    send('shop', event('view'))
    expect(windows()).toEqual([['00', false]])
    await clock.advance(12_000)
    expect(windows()).toEqual([
      ['00', true],
      ['10', false]
    ])
    await clock.advance(20_000)
    expect(windows()).toEqual([['30', false]])
  })

  it('gives sketches to a bounded number of projects and says how much it did not look at', () => {
    const { hot, send } = setup(1)
    send('one', event('view'))
    send('two', event('view'), event('view'))
    expect(hot.view()).toMatchObject([{ eventsBeyond: 2, projects: [{ projectId: 'one' }] }])
  })

  it('becomes one view of all processes, newest window first, for one project and its top keys when asked', async () => {
    const one = setup()
    const two = setup()
    one.send('shop', event('view'), event('view'), event('click'))
    two.send('shop', event('view'), event('buy'), event('buy'), event('buy'))
    two.send('other', event('view'))
    await one.clock.advance(10_000)
    await two.clock.advance(10_000)
    one.send('shop', event('late'))
    const merged = mergeHotWindows([one.hot.view(), two.hot.view()], { projectId: 'shop', top: 2 })
    expect(merged.map(({ startedAt, complete }) => [startedAt.slice(17, 19), complete])).toEqual([
      ['10', false],
      ['00', true]
    ])
    expect(merged[1]?.projects.map(({ projectId, eventTypes }) => [projectId, eventTypes])).toEqual([
      [
        'shop',
        {
          total: 7,
          unseen: 1,
          keys: [
            { key: 'buy', count: 3, error: 0 },
            { key: 'view', count: 3, error: 0 }
          ]
        }
      ]
    ])
  })
})
