import { expect, test } from 'vitest'
import { usedBy } from './promql.ts'

test.each([
  ['up == 0', [{ name: 'up', labels: [] }], []],
  [
    'histogram_quantile(0.95, sum by (job, le) (rate(a_seconds_bucket{job=~"x|y", le!="1"}[5m]))) > 0.5',
    [{ name: 'a_seconds_bucket', labels: ['job', 'le'] }],
    ['job', 'le']
  ],
  [
    'sum by (reason) (rate(a_total[5m])) / on () group_left () sum (rate(b_total{kind="rate(c_total)"}[5m])) > 0.01',
    [
      { name: 'a_total', labels: [] },
      { name: 'b_total', labels: ['kind'] }
    ],
    ['reason']
  ],
  [
    'absent(a_total{outcome="taken"}) or sum (rate(b_total offset 5m)) == 0 and bool_total > 1e3',
    [
      { name: 'a_total', labels: ['outcome'] },
      { name: 'b_total', labels: [] },
      { name: 'bool_total', labels: [] }
    ],
    []
  ]
])('%s', (expression, series, grouped) => {
  const used = usedBy(expression)
  expect(used.series).toEqual(series)
  expect(used.grouped).toEqual(grouped)
})
