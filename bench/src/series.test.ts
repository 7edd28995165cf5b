// Reading one series of a page of metrics.
import { describe, expect, it } from 'vitest'
import { seriesOf } from './series.ts'

const page = ['# TYPE asked counter', 'asked{lane="sql"} 3', 'asked{lane="metrics"} 4', 'asked_all 100', 'idle 2'].join(
  '\n'
)

describe('a series', () => {
  it('is summed over its labels, without those whose name it starts', () => {
    expect(seriesOf(page, 'asked')).toBe(7)
    expect(seriesOf(page, 'idle')).toBe(2)
    expect(seriesOf(page, 'nothing')).toBe(0)
  })
})
