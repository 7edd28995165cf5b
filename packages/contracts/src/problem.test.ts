import { describe, expect, it } from 'vitest'
import { problemCatalog, toProblem } from './problem.ts'
import type { ProblemCode } from './problem.ts'

describe('toProblem', () => {
  it('carries the status, title and urn of its code, and what is added', () => {
    expect(toProblem('unknown_field', { pointer: '/x', detail: 'x is not part of an event', requestId: 'r1' })).toEqual(
      {
        type: 'urn:millrace:problem:unknown_field',
        title: 'A field is not part of an event',
        status: 422,
        code: 'unknown_field',
        pointer: '/x',
        detail: 'x is not part of an event',
        requestId: 'r1'
      }
    )
  })

  it.each(Object.keys(problemCatalog) as ProblemCode[])(
    '%s is an error status with a title without full stop',
    (code) => {
      const { status, title } = toProblem(code)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(title).not.toMatch(/\.$/)
    }
  )
})
