import { describe, expect, it } from 'vitest'
import { bindParameters } from './parameters.ts'

const declared = new Map([['ids', 'Array(String)']])

describe('values bound to a query', () => {
  it('are as long together as a URL to the engine can carry', () => {
    const ids = Array.from({ length: 5_000 }, (_, number) => String(number).padStart(36, 'a'))
    expect(bindParameters(declared, { ids })).toEqual({ ok: true, params: { ids } })
    expect(bindParameters(declared, { ids: [...ids, ...ids] })).toMatchObject({ ok: false, pointer: '/params' })
    // What is percent-encoded is longer there.
    expect(bindParameters(declared, { ids: ['\u{1f600}'.repeat(20_000)] }).ok).toBe(true)
    expect(bindParameters(declared, { ids: ['\u{1f600}'.repeat(25_000)] }).ok).toBe(false)
  })
})
