import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countryFile } from '@millrace/testkit/country-file'
import { openCountryLookup, openEnrich } from './country-database.ts'

let folder: string
let path: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-countries-'))
  path = join(folder, 'countries.mmdb')
  const ranges = [
    { network: '192.0.2.0/24', country: 'AT' },
    { network: '198.51.100.0/25', country: 'CH' },
    { network: '198.51.100.128/25', country: 'DE' },
    { network: '203.0.113.7/32', country: 'AT' }
  ]
  await writeFile(path, countryFile(ranges))
})
afterAll(() => rm(folder, { recursive: true }))

describe('openCountryLookup', () => {
  it.each([
    ['192.0.2.1', 'AT'],
    ['192.0.2.255', 'AT'],
    ['198.51.100.127', 'CH'],
    ['198.51.100.128', 'DE'],
    ['::ffff:198.51.100.128', 'DE'],
    ['203.0.113.7', 'AT'],
    ['203.0.113.8', ''],
    ['10.0.0.1', ''],
    ['2001:db8::1', ''],
    ['192.0.2.1:443', ''],
    ['not an address', ''],
    ['', '']
  ])('finds the country of %j to be %j, again and again', async (ip, country) => {
    const countryOf = await openCountryLookup(path)
    expect([countryOf(ip), countryOf(ip)]).toEqual([country, country])
  })

  it('says which setting is wrong when the file is none', async () => {
    const code = 'PIPE_CONFIG_INVALID'
    await expect(openCountryLookup(join(folder, 'missing'))).rejects.toMatchObject({ code })
    await writeFile(join(folder, 'text'), 'no database')
    await expect(openCountryLookup(join(folder, 'text'))).rejects.toThrow('COUNTRY_DATABASE')
  })
})

describe('openEnrich', () => {
  const value = Buffer.from('{"eventId":"e","eventType":"a","ip":"192.0.2.9"}')
  const record = { topic: 'events.demo', partition: 0, offset: 0n, appendedAtMs: 1, value }

  it('looks countries up only where a database is named', async () => {
    expect((await openEnrich({ COUNTRY_DATABASE: path }))(record)).toMatchObject({ row: { country: 'AT' } })
    expect((await openEnrich({ COUNTRY_DATABASE: '' }))(record)).toMatchObject({ row: { country: '' } })
  })
})
