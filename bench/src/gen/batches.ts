// Bodies of many events, in the forms in which a gateway takes them.
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import type { NextEvent, Workload } from './workloads.ts'

export const batchSize = 100

/** `json`: an object with the array `events`; `ndjson`: a line each. */
export type BatchForm = 'json' | 'ndjson' | 'gzip' | 'zstd'

/** Headers of a body in that form. */
export const batchHeaders: Readonly<Record<BatchForm, Readonly<Record<string, string>>>> = {
  json: { 'content-type': 'application/json' },
  ndjson: { 'content-type': 'application/x-ndjson' },
  gzip: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  zstd: { 'content-type': 'application/json', 'content-encoding': 'zstd' }
}

/** Bodies of `batchSize` events each; gzip and zstd pack the JSON form. */
export function createBatches(name: string, next: NextEvent, form: BatchForm): Workload {
  const render = (): Buffer => encode(Array.from({ length: batchSize }, next), form)
  return { name, render: (count) => Array.from({ length: count }, render) }
}

/** As many bodies as are asked for, from `size` different ones: for a reference that does not remember what it saw. */
export function repeated(workload: Workload, size: number): Workload {
  let pool: readonly Buffer[] | undefined
  return {
    name: workload.name,
    render(count) {
      const made = (pool ??= workload.render(size))
      return Array.from({ length: count }, (_, index) => made[index % size] as Buffer)
    }
  }
}

/** Events of which `share` per batch, evenly spread, are taken from `known` in turn. */
export function withDuplicates(next: NextEvent, known: readonly string[], share: number): NextEvent {
  const every = batchSize / share
  let made = 0
  let cursor = 0
  return () => (made++ % every === 0 ? (known[cursor++ % known.length] ?? next()) : next())
}

/** The body of `events` in a form. */
export function encode(events: readonly string[], form: BatchForm): Buffer {
  if (form === 'ndjson') return Buffer.from(events.join('\n'))
  const json = Buffer.from(`{"events":[${events.join(',')}]}`)
  if (form === 'gzip') return gzipSync(json)
  return form === 'zstd' ? zstdCompressSync(json, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }) : json
}
