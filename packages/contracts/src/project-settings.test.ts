import { describe, expect, it } from 'vitest'
import { changeProjectSettings, defaultProjectSettings, parseProjectSettings } from './project-settings.ts'

describe('parseProjectSettings', () => {
  it.each([[{}], [null], [undefined], ['text'], [[1]], [{ unknownSetting: 1 }], [{ limits: null, corsOrigins: null }]])(
    'finds nothing set in %j',
    (stored) => {
      expect(parseProjectSettings(stored)).toEqual({ settings: defaultProjectSettings, problems: [] })
    }
  )

  it('reads every setting; a burst that is not set is twice the rate, and at least one event', () => {
    const stored = {
      keyTemplate: 'eventType:eventId',
      corsOrigins: ['https://shop.example', 'http://127.0.0.1:8080'],
      limits: {
        project: { eventsPerSecond: 1_000, burst: 5_000 },
        perEventType: { eventsPerSecond: 100 },
        perUser: { eventsPerSecond: 0.25 }
      }
    }
    expect(parseProjectSettings(stored)).toEqual({
      settings: {
        keyTemplate: 'eventType:eventId',
        corsOrigins: ['https://shop.example', 'http://127.0.0.1:8080'],
        limits: {
          project: { eventsPerSecond: 1_000, burst: 5_000 },
          perEventType: { eventsPerSecond: 100, burst: 200 },
          perUser: { eventsPerSecond: 0.25, burst: 1 }
        }
      },
      problems: []
    })
  })

  it.each([
    [{ keyTemplate: 'userId' }, ['keyTemplate must be eventId or eventType:eventId']],
    [
      { corsOrigins: 'https://a.example' },
      ['corsOrigins must be at most 100 origins such as https://shop.example, or *']
    ],
    [{ corsOrigins: ['https://a.example/'] }, [expect.stringContaining('corsOrigins')]],
    [{ corsOrigins: ['https://A.example'] }, [expect.stringContaining('corsOrigins')]],
    [{ corsOrigins: ['null'] }, [expect.stringContaining('corsOrigins')]],
    [{ corsOrigins: ['javascript:1'] }, [expect.stringContaining('corsOrigins')]],
    [{ limits: { project: { eventsPerSecond: 0 } } }, [expect.stringContaining('limits.project.eventsPerSecond')]],
    [{ limits: { project: { eventsPerSecond: '5' } } }, [expect.stringContaining('limits.project.eventsPerSecond')]],
    [{ warehouseRetentionDays: 10_001 }, ['warehouseRetentionDays must be a whole number from 1 to 10000']],
    [{ warehouseRetentionDays: 0.5 }, [expect.stringContaining('warehouseRetentionDays')]],
    [{ limits: { perUser: { burst: 3 } } }, ['limits.perUser.burst needs limits.perUser.eventsPerSecond']]
  ])('takes the default for what is wrong in %j, and says so', (stored, problems) => {
    expect(parseProjectSettings(stored)).toEqual({ settings: defaultProjectSettings, problems })
  })

  it('keeps what is right beside what is wrong', () => {
    const { settings, problems } = parseProjectSettings({
      keyTemplate: 1,
      corsOrigins: ['*'],
      limits: { perUser: { eventsPerSecond: 5, burst: 0.5 }, project: 'fast' }
    })
    expect(settings).toEqual({
      keyTemplate: 'eventId',
      corsOrigins: ['*'],
      limits: { perUser: { eventsPerSecond: 5, burst: 10 } }
    })
    expect(problems).toHaveLength(2)
  })
})

describe('changeProjectSettings', () => {
  it('writes what was written, keeps the rest, and takes away what is empty, with the groups that empties', () => {
    const stored = { keyTemplate: 'eventId', limits: { perUser: { eventsPerSecond: 1 } }, later: { kept: true } }
    expect(
      changeProjectSettings(stored, [
        ['corsOrigins', 'https://a.example, https://b.example'],
        ['limits.project.eventsPerSecond', '250.5'],
        ['limits.project.burst', '600'],
        ['limits.perUser.eventsPerSecond', ''],
        ['keyTemplate', '']
      ])
    ).toEqual({
      stored: {
        later: { kept: true },
        corsOrigins: ['https://a.example', 'https://b.example'],
        limits: { project: { eventsPerSecond: 250.5, burst: 600 } }
      },
      problems: []
    })
  })

  it('shows persons in the live feed only when told to', () => {
    const of = (text: string) =>
      parseProjectSettings(changeProjectSettings({}, [['personalInFeed', text]]).stored).settings
    expect(of('true').personalInFeed).toBe(true)
    expect(of('false').personalInFeed).toBeUndefined()
    expect(of('').personalInFeed).toBeUndefined()
  })

  it.each([
    ['colour', 'blue', /^there is no setting 'colour'; the settings are keyTemplate, /],
    ['__proto__', 'x', /^there is no setting '__proto__'/],
    ['keyTemplate', 'userId', /^keyTemplate must be .*, not 'userId'$/],
    ['limits.project.eventsPerSecond', 'many', /^limits\.project\.eventsPerSecond must be .*, not 'many'$/],
    ['limits.project.burst', '10', /^limits\.project\.burst needs limits\.project\.eventsPerSecond$/],
    ['corsOrigins', 'shop.example', /^corsOrigins must be .*, not 'shop\.example'$/],
    ['personalInFeed', 'yes', /^personalInFeed must be true or false, not 'yes'$/]
  ])('refuses %s=%s', (name, text, problem) => {
    expect(changeProjectSettings({}, [[name, text]]).problems).toEqual([expect.stringMatching(problem)])
  })
})
