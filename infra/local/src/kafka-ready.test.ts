import { expect, test } from 'vitest'
import { brokerCount, metadataRequest } from './kafka-ready.ts'

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
