import { describe, expect, it } from 'vitest'
import type { MetricMessage } from '@millrace/contracts'
import { createChangedValues } from './changed-values.ts'

const message = (dimension: string | undefined, value: number, change: Partial<MetricMessage> = {}): MetricMessage => ({
  project: 'p',
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: 0,
  ...(dimension === undefined ? {} : { dimension }),
  value,
  count: value,
  capped: false,
  revision: [1, 2 * value],
  final: false,
  ...change
})

describe('changed values', () => {
  it('are those that differ from what the log has', () => {
    const changed = createChangedValues()
    const first = [message(undefined, 2), message('["a"]', 1), message('["b"]', 1)]
    expect(changed.changedOf('w', first)).toEqual(first)
    changed.keep('w', first)
    const second = [message(undefined, 3), message('["a"]', 1, { revision: [1, 6] }), message('["b"]', 2)]
    expect(changed.changedOf('w', second)).toEqual([second[0], second[2]])
    expect(changed.changedOf('other', second)).toEqual(second)
  })

  it('are all of those that were not acknowledged', () => {
    const changed = createChangedValues()
    changed.keep('w', [message(undefined, 2)])
    expect(changed.changedOf('w', [message(undefined, 2), message('["a"]', 1)])).toEqual([message('["a"]', 1)])
  })

  it('are all of a final window, of another epoch, and of a window that became capped', () => {
    const changed = createChangedValues()
    changed.keep('w', [message('["a"]', 1)])
    for (const change of [{ final: true }, { revision: [2, 2] as const }, { capped: true }]) {
      expect(changed.changedOf('w', [message('["a"]', 1, change)])).toHaveLength(1)
    }
  })

  it('are all after a final emission and after others may have emitted', () => {
    const changed = createChangedValues()
    changed.keep('w', [message('["a"]', 1)])
    changed.keep('w', [message('["a"]', 1, { final: true })])
    expect(changed.changedOf('w', [message('["a"]', 1)])).toHaveLength(1)
    changed.keep('w', [message('["a"]', 1)])
    changed.clear()
    expect(changed.changedOf('w', [message('["a"]', 1)])).toHaveLength(1)
  })
})
