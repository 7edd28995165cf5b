import { describe, expect, it } from 'vitest'
import { archiveRequestOf, rateOf, toRequests } from './replay-options.ts'
import type { RangeOptions } from './replay-options.ts'

const nowMs = Date.parse('2026-01-31T12:00:00Z')
const options = (change: Partial<RangeOptions>): RangeOptions => ({
  dataDir: '.',
  project: 'shop',
  group: 'load',
  limit: '100',
  ...change
})

describe('the options of a replay', () => {
  it('make a request for each group, which may have another name than its kind', () => {
    const made = toRequests(options({ group: 'load=eu-load, record', fromTime: '2h', toOffset: '9' }), nowMs)
    const shared = {
      projectId: 'shop',
      mode: 'beside',
      from: { kind: 'time', ms: nowMs - 7_200_000 },
      to: { kind: 'offset', offset: 9n },
      limit: 100n
    }
    expect(made).toEqual([
      { ...shared, kind: 'load', group: 'eu-load' },
      { ...shared, kind: 'record', group: 'record' }
    ])
  })

  it('read offsets of all partitions, of some, and the beginning of the log', () => {
    const from = (fromOffset: string) => toRequests(options({ fromOffset }), nowMs)[0]?.from
    expect(from('7')).toEqual({ kind: 'offset', offset: 7n })
    expect(from('0:100,3:250')).toEqual({
      kind: 'offsets',
      offsets: new Map([
        [0, 100n],
        [3, 250n]
      ])
    })
    expect(from('earliest')).toEqual({ kind: 'all' })
  })

  it.each([
    [{}, 'say where to begin'],
    [{ fromOffset: '1', fromTime: '2h' }, 'either --from-offset or --from-time, not both'],
    [{ fromOffset: '-1' }, '--from-offset takes whole numbers'],
    [{ fromOffset: '0:x' }, '--from-offset takes whole numbers'],
    [{ fromTime: 'yesterday' }, '--from-time is a time such as'],
    [{ fromOffset: 'earliest', group: 'loader' }, '--group takes process, load, record, archive, aggregate'],
    [{ fromOffset: 'earliest', limit: 'many' }, '--limit takes whole numbers'],
    [{ fromOffset: 'earliest', acceptGone: true }, '--accept-gone is for --from-archive']
  ])('refuse %j', (change, message) => {
    expect(() => toRequests(options(change), nowMs)).toThrow(message)
  })

  it('take the archive for the loaders alone: all of it, or a range', () => {
    expect(archiveRequestOf(options({}), nowMs)).toBeUndefined()
    const archive = (change: Partial<RangeOptions>) =>
      archiveRequestOf(options({ fromArchive: true, ...change }), nowMs)
    expect(archive({ group: 'load=eu-load' })).toEqual({ kind: 'all', group: 'eu-load' })
    expect(archive({ fromTime: '2h', toOffset: '0:9' })).toMatchObject({
      kind: 'range',
      group: 'load',
      from: { kind: 'time', ms: nowMs - 7_200_000 },
      to: { kind: 'offsets', offsets: new Map([[0, 9n]]) }
    })
    expect(archive({ fromOffset: 'earliest' })).toMatchObject({ from: { kind: 'all' }, to: { kind: 'all' } })
    expect([archive({ fromTime: '2h' }), archive({ fromTime: '2h', acceptGone: true })]).toMatchObject([
      { acceptGone: false },
      { acceptGone: true }
    ])
    for (const group of ['record', 'load,record']) expect(() => archive({ group })).toThrow('for --group load alone')
    expect(() => archive({ inPlace: true })).toThrow('does not go with --in-place')
  })

  it('take a rate above nothing', () => {
    expect([rateOf(undefined), rateOf('5000')]).toEqual([undefined, 5_000])
    for (const text of ['0', 'fast', '1000000000']) expect(() => rateOf(text)).toThrow('--rate')
  })
})
