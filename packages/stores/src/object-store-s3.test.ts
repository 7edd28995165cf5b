import { describe, expect, it } from 'vitest'
import { parseS3Url } from './object-store-s3.ts'

const parse = (url: string) => parseS3Url(new URL(url))

describe('an s3: URL', () => {
  it('names bucket and prefix, and takes the keys from elsewhere when it has none', () => {
    expect(parse('s3://bucket/some/prefix/?region=eu-central-1')).toEqual({
      bucket: 'bucket',
      prefix: 'some/prefix/',
      config: {
        region: 'eu-central-1',
        forcePathStyle: false,
        requestChecksumCalculation: 'WHEN_SUPPORTED',
        responseChecksumValidation: 'WHEN_SUPPORTED'
      }
    })
    expect(parse('s3://bucket').prefix).toBe('')
  })

  it('may name another server and keys with characters that a URL does not have', () => {
    const url =
      's3://key%2F1:sec%2Fret%2B@b?endpoint=http%3A%2F%2F127.0.0.1%3A9000&path-style=true&checksums=when-required'
    expect(parse(url).config).toEqual({
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:9000',
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      credentials: { accessKeyId: 'key/1', secretAccessKey: 'sec/ret+' }
    })
  })

  it.each([
    ['s3:///prefix', 'bucket'],
    ['s3://b?path-style=yes', 'path-style is true or false'],
    ['s3://b?checksums=never', 'when-supported or when-required'],
    ['s3://b?pathstyle=true', "unknown parameter 'pathstyle'"],
    ['s3://key@b', 'needs its secret']
  ])('is refused as %s', (url, problem) => {
    expect(() => parse(url)).toThrow(problem)
  })
})
