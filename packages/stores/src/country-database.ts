// Countries of addresses, from a file in the format of MaxMind (GeoLite2-Country, GeoIP2, and others that write it).
// The file is read once: a newer one counts after a restart, and has to reach every service that enriches.
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { Reader } from 'mmdb-lib'
import type { CountryResponse } from 'mmdb-lib'
import { createEnrich } from '@millrace/contracts'
import type { Enrich } from '@millrace/contracts'
import { AppError, createLru, toError } from '@millrace/kernel'

/** Addresses whose country is remembered: some 2 MB. */
const remembered = 10_000

/**
 * A lookup in the database at `path`: the ISO 3166 code of the country of an address, empty for what is no address or is
 * not in it. Throws PIPE_CONFIG_INVALID when there is no such file or it is none.
 */
export async function openCountryLookup(path: string): Promise<(ip: string) => string> {
  const reader = await open(path)
  const known = createLru<string, string>(remembered)
  const hasV6 = reader.metadata.ipVersion === 6
  return (ip) => {
    const address = ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice('::ffff:'.length) : ip
    const version = isIP(address)
    if (version === 0 || (version === 6 && !hasV6)) return ''
    const before = known.get(address)
    if (before !== undefined) return before
    const country = countryOf(reader, address)
    known.set(address, country)
    return country
  }
}

/** The enrichment of a service, with the country database of its settings, if it names one. Throws as the lookup. */
export async function openEnrich({ COUNTRY_DATABASE }: { readonly COUNTRY_DATABASE: string }): Promise<Enrich> {
  return COUNTRY_DATABASE === ''
    ? createEnrich()
    : createEnrich({ countryOf: await openCountryLookup(COUNTRY_DATABASE) })
}

async function open(path: string): Promise<Reader<CountryResponse>> {
  try {
    const reader = new Reader<CountryResponse>(await readFile(path))
    reader.get('192.0.2.1')
    return reader
  } catch (error) {
    throw new AppError('PIPE_CONFIG_INVALID', `COUNTRY_DATABASE: ${toError(error).message}`, { cause: error })
  }
}

/** A damaged record is no country: the event matters more than where it came from. */
function countryOf(reader: Reader<CountryResponse>, address: string): string {
  try {
    const found = reader.get(address)
    const code: unknown = found?.country?.iso_code ?? found?.registered_country?.iso_code
    return typeof code === 'string' ? code : ''
  } catch {
    return ''
  }
}
