import { expect, test } from 'vitest'
import { brokerCount, brokerIds, metadataRequest } from './kafka-ready.ts'

test('the request is metadata version 1 for no topic, with its length in front', () => {
  expect(metadataRequest('ab').toString('hex')).toBe(
    ['00000010', '0003', '0001', '00000001', '0002', '6162', '00000000'].join('')
  )
})

test('the brokers of an answer are counted only when it is complete', () => {
  const body = Buffer.alloc(12)
  body.writeInt32BE(1, 0)
  body.writeInt32BE(2, 4)
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  const answer = Buffer.concat([size, body])
  expect(brokerCount(answer)).toBe(2)
  expect(brokerCount(answer.subarray(0, 15))).toBeUndefined()
  expect(brokerCount(Buffer.alloc(2))).toBeUndefined()
})

test('the brokers of an answer are named by id, with a rack or without', () => {
  const broker = (id: number, rack: string | undefined): Buffer => {
    const bytes = Buffer.alloc(4 + 2 + 9 + 4 + 2)
    bytes.writeInt32BE(id, 0)
    bytes.writeInt16BE(9, 4)
    bytes.write('127.0.0.1', 6)
    bytes.writeInt16BE(rack?.length ?? -1, 19)
    return Buffer.concat([bytes, Buffer.from(rack ?? '')])
  }
  const head = Buffer.alloc(12)
  head.writeInt32BE(3, 8)
  const answer = Buffer.concat([head, broker(1, undefined), broker(2, 'r2'), broker(3, undefined)])
  answer.writeInt32BE(answer.length - 4, 0)
  expect(brokerIds(answer)).toEqual([1, 2, 3])
})
