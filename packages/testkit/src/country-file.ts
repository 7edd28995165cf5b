// A database in the format of MaxMind, made for a test: a binary tree of address bits over records of a country.
// Format: https://maxmind.github.io/MaxMind-DB/

export interface CountryRange {
  /** IPv4 in the first 32 of its bits: `203.0.113.0/24`. */
  readonly network: string
  readonly country: string
}

interface Node {
  left: Node | string | undefined
  right: Node | string | undefined
}

const empty = (): Node => ({ left: undefined, right: undefined })

/** The bytes of a database of IPv4 `ranges`, none within another. */
export function countryFile(ranges: readonly CountryRange[]): Buffer {
  const root = empty()
  for (const { network, country } of ranges) insert(root, network, country)
  const nodes: Node[] = [root]
  for (const node of nodes) for (const side of [node.left, node.right]) if (typeof side === 'object') nodes.push(side)
  const data: Buffer[] = []
  const places = new Map<string, number>()
  for (const { country } of ranges) {
    if (places.has(country)) continue
    places.set(country, Buffer.concat(data).byteLength)
    data.push(map({ country: map({ iso_code: text(country) }) }))
  }
  const record = (side: Node['left']): Buffer => {
    const bytes = Buffer.alloc(3)
    const place = typeof side === 'string' ? nodes.length + 16 + (places.get(side) ?? 0) : undefined
    bytes.writeUIntBE(place ?? (side === undefined ? nodes.length : nodes.indexOf(side as Node)), 0, 3)
    return bytes
  }
  const metadata = map({
    binary_format_major_version: number(2),
    binary_format_minor_version: number(0),
    build_epoch: number(1_780_000_000),
    database_type: text('Test-Country'),
    description: map({}),
    ip_version: number(4),
    languages: Buffer.from([0x00, 0x04]),
    node_count: number(nodes.length),
    record_size: number(24)
  })
  const tree = nodes.flatMap(({ left, right }) => [record(left), record(right)])
  return Buffer.concat([
    ...tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'),
    metadata
  ])
}

function insert(root: Node, network: string, country: string): void {
  const [address = '', length = '32'] = network.split('/')
  const bits = address.split('.').flatMap((octet) => Number(octet).toString(2).padStart(8, '0').split(''))
  const path = bits.slice(0, Number(length))
  let node = root
  path.forEach((bit, depth) => {
    const side = bit === '1' ? 'right' : 'left'
    const next = node[side]
    if (depth === path.length - 1) node[side] = country
    else if (typeof next === 'object') node = next
    else {
      const made = empty()
      node[side] = made
      node = made
    }
  })
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([control(2, bytes.byteLength), bytes])
}

/** An unsigned 32-bit number. */
function number(value: number): Buffer {
  const bytes = Buffer.alloc(5, 0xc4)
  bytes.writeUInt32BE(value, 1)
  return bytes
}

function map(members: Readonly<Record<string, Buffer>>): Buffer {
  const entries = Object.entries(members)
  return Buffer.concat([control(7, entries.length), ...entries.flatMap(([key, value]) => [text(key), value])])
}

/** Type and size of a value in one byte, or two: sizes from 29 to 284 are kept in a second one. */
function control(type: number, size: number): Buffer {
  return size < 29 ? Buffer.from([(type << 5) | size]) : Buffer.from([(type << 5) | 29, size - 29])
}
