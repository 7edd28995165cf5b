// Which addresses a request that somebody else's name leads to may go to. Loopback, private, link-local (the metadata
// services of clouds), shared, documentation, multicast and reserved ranges are inside. IANA special-purpose registries.
import { BlockList, isIP } from 'node:net'

const inside4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3'
]
/** Of version 6 only what is given out is outside, less what leads back to version 4 or is for documents. */
const outside6 = ['2000::/3']
const inside6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

/** Decides about addresses as text; `allowed` are ranges (`10.1.0.0/16`, or one address) that are let through all the same. */
export type AddressGuard = (address: string) => boolean

/** A guard. Throws a RangeError for a range that is none. */
export function createAddressGuard(allowed: readonly string[]): AddressGuard {
  const blocked4 = listOf(inside4)
  const [given6, blocked6] = [listOf(outside6), listOf(inside6)]
  const open = listOf(allowed)
  return (address) => {
    const plain = plainAddress(address)
    const version = isIP(plain)
    if (version === 0) return false
    if (open.check(plain, version === 4 ? 'ipv4' : 'ipv6')) return true
    if (version === 4) return !blocked4.check(plain, 'ipv4')
    return given6.check(plain, 'ipv6') && !blocked6.check(plain, 'ipv6')
  }
}

/** An address of version 4 in the clothes of version 6 (`::ffff:10.0.0.1`) is what it is; a zone is left out. */
function plainAddress(address: string): string {
  const text = address.toLowerCase().replace(/%.*$/, '')
  if (isIP(text) !== 6) return text
  // The URL parser writes every form of an address in the same way.
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical)
  if (mapped === null) return canonical
  const bits = (Number.parseInt(mapped[1] ?? '', 16) << 16) | Number.parseInt(mapped[2] ?? '', 16)
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.')
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/')
    const version = isIP(address)
    const bits = prefix === undefined ? (version === 4 ? 32 : 128) : /^\d+$/.test(prefix) ? Number(prefix) : Number.NaN
    if (version === 0 || !Number.isInteger(bits) || bits < 0 || bits > (version === 4 ? 32 : 128))
      throw new RangeError(`'${range}' is no range of addresses such as 10.1.0.0/16`)
    list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
