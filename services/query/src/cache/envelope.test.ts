import { describe, expect, it } from 'vitest'
import { openEntry, sealEntry } from './envelope.ts'
import type { Entry } from './envelope.ts'

const entry: Entry = {
  projectId: 'shop',
  key: 'query:{shop}:abc',
  generation: '',
  status: 200,
  contentType: 'application/json; charset=utf-8',
  queryId: '0199f3a1-7c8e-7f21-9c51-0d6f1f7a2b10',
  madeAtMs: 1_000,
  costMs: 12.5,
  freshUntilMs: 2_000,
  staleUntilMs: 3_000,
  body: Buffer.from('{"rows":[["tab\\tand"]]}\n')
}

describe('an envelope', () => {
  it('gives back what was put in, byte for byte', () => {
    expect(openEntry(sealEntry(entry), entry)).toEqual({ kind: 'entry', entry })
  })

  it.each([
    ['of another project under this name', { projectId: 'blog', key: entry.key }],
    ['of another key', { projectId: 'shop', key: 'query:{shop}:xyz' }]
  ])('is refused: %s', (_name, expected) => {
    expect(openEntry(sealEntry(entry), expected)).toEqual({ kind: 'mismatch' })
  })

  it.each(['', 'garbage', '2\tshop\tquery:{shop}:abc\t\t200\tx\ty\t1\t2\t3\t4\nbody', '1\tshop\n'])(
    'is not there in %j',
    (text) => expect(openEntry(Buffer.from(text), entry)).toEqual({ kind: 'broken' })
  )
})
