import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { batchSize, createBatches, encode, repeated, withDuplicates } from './batches.ts'
import { createEvents } from './workloads.ts'

it('packs the same events in every form', () => {
  const events = Array.from({ length: 3 }, createEvents(1, 'run'))
  const json = encode(events, 'json')
  expect(JSON.parse(json.toString())).toEqual({ events: events.map((event) => JSON.parse(event) as unknown) })
  expect(gunzipSync(encode(events, 'gzip'))).toEqual(json)
  expect(zstdDecompressSync(encode(events, 'zstd'))).toEqual(json)
  expect(encode(events, 'ndjson').toString().split('\n')).toEqual(events)
})

it('puts exactly the asked share of known events into each batch, none twice', () => {
  const known = Array.from({ length: 40 }, createEvents(2, 'known'))
  const bodies = createBatches('d10', withDuplicates(createEvents(1, 'run'), known, 10), 'ndjson').render(8)
  for (const body of bodies) {
    const lines = body.toString().split('\n')
    expect(lines).toHaveLength(batchSize)
    expect(new Set(lines).size).toBe(batchSize)
    expect(lines.filter((line) => known.includes(line))).toHaveLength(10)
  }
})

it('repeats a few bodies as often as asked', () => {
  const bodies = repeated(createBatches('w3', createEvents(1, 'run'), 'json'), 4).render(10)
  expect(bodies).toHaveLength(10)
  expect(new Set(bodies).size).toBe(4)
})
