import { expect, it } from 'vitest'
import fc from 'fast-check'
import { redact } from './redact.ts'

it.each([
  ['mail to anna.b+x@mail.example.org failed', 'mail to [email] failed'],
  ['from 10.1.2.3:8080', 'from [ip]:8080'],
  ['from 2001:db8:0:0:1:2:3:4', 'from [ip]'],
  ['http://user:pass@host/x', 'http://[credentials]@host/x'],
  ['Authorization: Bearer abc.def', 'Authorization: Bearer [secret]'],
  ['key mr_w_abcdefgh0123', 'key [key]'],
  [`token ${'aB3'.repeat(12)}`, 'token [token]'],
  ['line one\n  line\u0000two', 'line one line two'],
  ['event 0190b5f2-8c3e-7c3e-9d4e-1f2a3b4c5d6e of purchase', 'event 0190b5f2-8c3e-7c3e-9d4e-1f2a3b4c5d6e of purchase']
])('makes %j to %j', (text, expected) => {
  expect(redact(text, 512)).toBe(expected)
})

it('is never longer than asked, and never ends in half a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer({ min: 1, max: 100 }), (text, maxBytes) => {
      const short = redact(text, maxBytes)
      expect(Buffer.byteLength(short)).toBeLessThanOrEqual(maxBytes)
      if (!text.includes('\ufffd')) expect(short.isWellFormed() && !short.includes('\ufffd')).toBe(true)
    })
  )
})
