import { expect, it } from 'vitest'
import { archiveKey, parseArchiveKey } from './archive-key.ts'

const range = { topic: 'events.shop', partition: 7, epoch: 2, first: 5n, last: 2n ** 60n, sha256: '0a'.repeat(32) }
const key = `archive/shop/events.shop/7/2/00000000000000000005-01152921504606846976-${'0a'.repeat(32)}.parquet`

it('names a file by what it holds, and reads the name back', () => {
  expect(archiveKey(range)).toBe(key)
  expect(parseArchiveKey(key)).toEqual(range)
})

it.each([
  key.replace('archive/', 'other/'),
  key.replace('archive/shop/', 'archive/pets/'),
  key.replace('/7/', '/07/'),
  key.replace('.parquet', '.parquet.tmp'),
  key.replace('0a0a', '0A0A'),
  key.replace('00000000000000000005', '5')
])('takes %s for no archive file', (other) => {
  expect(parseArchiveKey(other)).toBeUndefined()
})
