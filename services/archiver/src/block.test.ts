import { expect, it } from 'vitest'
import { contentCrc } from '@millrace/stores/archive-rows'
import { blockCrc, packBlock, unpackBlock } from './block.ts'

const records = [
  { offset: 0n, key: null, value: null, headers: {}, appendedAtMs: 1 },
  {
    offset: 7n,
    key: Buffer.alloc(0),
    value: Buffer.from([0xff, 0]),
    headers: { a: Buffer.from('é') },
    appendedAtMs: 2
  },
  {
    offset: 2n ** 60n,
    key: Buffer.from('k'),
    value: Buffer.alloc(0),
    headers: { b: Buffer.from([0xff]) },
    appendedAtMs: 3
  }
]

it('unpacks to what was packed', () => {
  expect(unpackBlock(packBlock(records))).toEqual([
    { offset: 0n, key: null, value: null, headers: '{}', appendedAtMs: 1 },
    { offset: 7n, key: Buffer.alloc(0), value: Buffer.from([0xff, 0]), headers: '{"a":"é"}', appendedAtMs: 2 },
    {
      offset: 2n ** 60n,
      key: Buffer.from('k'),
      value: Buffer.alloc(0),
      headers: '{"b":{"base64":"/w=="}}',
      appendedAtMs: 3
    }
  ])
})

it('has the checksum of its records, whatever the pieces', () => {
  const whole = contentCrc(records)
  const [first, ...rest] = records
  expect(blockCrc(packBlock(records), 0)).toBe(whole)
  expect(blockCrc(packBlock(rest), blockCrc(packBlock(first === undefined ? [] : [first]), 0))).toBe(whole)
  expect(contentCrc(rest, contentCrc(records.slice(0, 1)))).toBe(whole)
  expect(contentCrc([{ offset: 0n, key: Buffer.from('a'), value: null }])).not.toBe(
    contentCrc([{ offset: 0n, key: null, value: Buffer.from('a') }])
  )
})
