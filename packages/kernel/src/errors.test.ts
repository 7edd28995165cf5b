import { describe, expect, it } from 'vitest'
import { AppError, errorCatalog, isPoison, isTransient, toError } from './errors.ts'
import type { ErrorCode } from './errors.ts'

describe('AppError', () => {
  it.each(Object.keys(errorCatalog) as ErrorCode[])('%s carries the class of its catalogue entry', (code) => {
    const error = new AppError(code, 'message')
    expect(error.class).toBe(errorCatalog[code].class)
    expect([isTransient(error), isPoison(error)]).toEqual([error.class === 'transient', error.class === 'poison'])
    expect(errorCatalog[code].doc).toMatch(/\.$/)
  })

  it('keeps the foreign error as its cause', () => {
    const cause = new Error('socket closed')
    expect(new AppError('PIPE_REDIS_UNAVAILABLE', 'reserve', { cause }).cause).toBe(cause)
  })
})

describe('toError', () => {
  it('keeps errors and wraps everything else', () => {
    const error = new Error('x')
    expect(toError(error)).toBe(error)
    expect(toError(42).message).toBe('non-error thrown: 42')
  })

  it('neither waits for a bug nor sets it aside', () => {
    expect([isTransient(new TypeError('x')), isPoison(new TypeError('x'))]).toEqual([false, false])
  })
})
