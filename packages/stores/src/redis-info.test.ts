import { expect, it } from 'vitest'
import { parseRedisInfo } from './redis-info.ts'

it('reads names and values, with headings, empty lines and colons', () => {
  const text = '# Memory\r\nused_memory:500\r\n\r\n# Server\r\nexecutable:/a:b\r\nempty:\r\n'
  expect([...parseRedisInfo(text)]).toEqual([
    ['used_memory', '500'],
    ['executable', '/a:b'],
    ['empty', '']
  ])
  expect(parseRedisInfo('').size).toBe(0)
})
