// What an application pays for the client: the bundle as a build tool makes it, minified, as bytes of gzip.
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'
import { describe, expect, it } from 'vitest'

describe('the bundle', () => {
  it('is smaller than 6 KB and imports nothing', async () => {
    await using bundle = await rolldown({ input: fileURLToPath(new URL('index.ts', import.meta.url)) })
    const { output } = await bundle.generate({ format: 'esm', minify: true })
    const [chunk, ...others] = output
    expect(others).toEqual([])
    expect(chunk.imports).toEqual([])
    expect(chunk.exports.toSorted()).toEqual(['TrackError', 'createClient', 'dropReasons'])
    expect(gzipSync(chunk.code, { level: 9 }).length).toBeLessThan(6_000)
  })
})
