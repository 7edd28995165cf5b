import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { errorFields } from './log-error.ts'

describe('errorFields', () => {
  it('puts code, class and details of our errors beside the error', () => {
    const error = new AppError('PIPE_KAFKA_UNAVAILABLE', 'commit', { details: { topic: 'events.demo' } })
    expect(errorFields(error)).toEqual({
      err: error,
      code: 'PIPE_KAFKA_UNAVAILABLE',
      class: 'transient',
      topic: 'events.demo'
    })
  })

  it('leads with the first failure when closing failed as well', async () => {
    const first = new Error('body')
    const caught = await (async () => {
      await using stack = new AsyncDisposableStack()
      stack.defer(() => {
        throw new Error('close')
      })
      throw first
    })().catch((error: unknown) => error)
    expect(errorFields(caught)).toEqual({ err: first, alsoFailed: ['close'] })
  })

  it('wraps what is not an error', () => {
    expect(errorFields('plain')).toMatchObject({ err: { message: 'non-error thrown: plain' } })
  })
})
