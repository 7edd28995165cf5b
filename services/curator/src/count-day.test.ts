import { describe, expect, it } from 'vitest'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { countDay, versionsOn } from './count-day.ts'

const dayMs = 20_000 * 86_400_000
const definition = (change: Partial<MetricDefinition>): MetricDefinition => ({
  name: 'spend',
  version: 1,
  effectiveFromMs: 0,
  where: [],
  measure: { kind: 'sum', property: 'price' },
  dimensions: [],
  cap: 10,
  granularities: ['1h'],
  ...change
})

/** Answers by a word of the question. */
function server(answers: Readonly<Record<string, readonly unknown[]>>) {
  const asked: string[] = []
  // The generic of the real method cannot be met by prepared answers.
  const rows = ((sql: string) => {
    asked.push(sql)
    const word = Object.keys(answers).find((each) => sql.includes(each))
    return Promise.resolve(word === undefined ? [] : answers[word])
  }) as Clickhouse['rows']
  return { clickhouse: { rows }, asked }
}

describe('versions of a day', () => {
  it('are the last ones in force when it began, and the first one for what is older', () => {
    const versions = [
      definition({ version: 1, effectiveFromMs: dayMs }),
      definition({ version: 2, effectiveFromMs: dayMs + 3_600_000 }),
      definition({ name: 'other', effectiveFromMs: dayMs + 1 })
    ]
    const shown = (at: number): string[] => versionsOn(versions, at).map(({ name, version }) => `${name} ${version}`)
    expect(shown(dayMs)).toEqual(['spend 1', 'other 1'])
    expect(shown(dayMs - 86_400_000)).toEqual(['spend 1', 'other 1'])
    expect(shown(dayMs + 86_400_000)).toEqual(['spend 2', 'other 1'])
  })
})

describe('a counted day', () => {
  it('has each metric whole and by dimension, in units, as values of the warehouse', async () => {
    const { clickhouse } = server({
      'AS dimension': [{ dimension: ['CH'], count: '2', value: '1500000' }],
      'sum(toInt128': [{ count: '3', value: '9007199254000003000000' }],
      late: [{ late: '4' }]
    })
    const spend = definition({ dimensions: [{ from: 'column', name: 'country' }] })
    const day = await countDay({ clickhouse, conversionTypes: [], latenessMs: 1 }, 'shop', dayMs, [spend])
    const common = { projectId: 'shop', dayMs, capped: false, revision: [0, 0], source: 'warehouse' }
    expect(day.values.slice(0, 2)).toEqual([
      { ...common, metric: 'spend', dimensionKey: '', dimensionValue: '', value: 9_007_199_254_000_003, count: 3 },
      { ...common, metric: 'spend', dimensionKey: '["country"]', dimensionValue: '["CH"]', value: 1.5, count: 2 }
    ])
    expect(day.late).toBe(4)
  })

  it('is 0 where there are no events, and has no least value then', async () => {
    const { clickhouse } = server({})
    const definitions = [definition({}), definition({ name: 'least', measure: { kind: 'min', property: 'price' } })]
    const { values, metrics } = await countDay(
      { clickhouse, conversionTypes: [], latenessMs: 1 },
      'p',
      dayMs,
      definitions
    )
    expect(values.map(({ metric, value, denominator }) => [metric, value, denominator])).toEqual([
      ['spend', 0, undefined],
      ['bounce_rate', 0, 0],
      ['session_duration', 0, 0]
    ])
    expect([...metrics.keys()]).toEqual(['spend', 'least', 'bounce_rate', 'session_duration'])
  })

  it('names the metrics that began to count otherwise in the middle of it', async () => {
    const { clickhouse } = server({})
    const definitions = [definition({}), definition({ version: 2, effectiveFromMs: dayMs + 3_600_000 })]
    const { changed } = await countDay({ clickhouse, conversionTypes: [], latenessMs: 1 }, 'p', dayMs, definitions)
    expect([...changed]).toEqual(['spend'])
  })
})
