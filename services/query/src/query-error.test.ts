import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { toQueryProblem } from './query-error.ts'

const engine = (code: number, message: string, type = 'X') =>
  new AppError('PIPE_CLICKHOUSE_QUERY', 'query', { cause: new Error(message), details: { code, type } })

describe('toQueryProblem', () => {
  it('hands on what is wrong with the text, without scope, version or table beneath the view', () => {
    const error = engine(
      47,
      "Unknown expression identifier `nope` in scope SELECT nope FROM app.events. Maybe you meant: ['name']."
    )
    expect(toQueryProblem(error)).toEqual({
      code: 'query_failed',
      detail: 'Unknown expression identifier `nope`',
      isLasting: true
    })
    const other = engine(
      43,
      'Illegal type String of argument of app.events_raw.path: While processing x (version 26.7)'
    )
    expect(toQueryProblem(other)?.detail).toBe(
      'Illegal type String of argument of app.events_raw.path'.replace('app.events_raw', 'events')
    )
  })

  it.each([
    ['Cannot convert app.person_edges.person', 'Cannot convert person_edges.person'],
    ['Unknown function in `app`.`first_seen`', 'Unknown function in `first_seen`'],
    ['Missing columns of app.events and events.path', 'Missing columns of events and events.path'],
    ['Cannot parse 1.5 or 26.7.1', 'Cannot parse 1.5 or 26.7.1']
  ])('names no database: %s', (message, detail) => {
    expect(toQueryProblem(engine(43, message))?.detail).toBe(detail)
  })

  it("takes a dictionary that is not there for nobody's mistake", () => {
    expect(toQueryProblem(engine(36, "Dictionary 'app.persons' not found", 'BAD_ARGUMENTS'))).toEqual({
      code: 'query_failed',
      detail: 'the engine refused the query (BAD_ARGUMENTS)',
      isLasting: false
    })
    expect(toQueryProblem(engine(36, 'Bad number of buckets'))).toMatchObject({ isLasting: true })
  })

  it.each([
    [159, 'query_timeout'],
    [396, 'query_limit'],
    [241, 'query_limit'],
    [158, 'query_limit']
  ])('says of code %i that it is a %s', (code, expected) => {
    expect(toQueryProblem(engine(code, 'secret table details'))).toMatchObject({ code: expected })
    expect(toQueryProblem(engine(code, 'secret table details'))?.detail).not.toContain('secret')
  })

  it.each([
    [47, true],
    [158, true],
    [396, true],
    [241, false],
    [159, false],
    [497, false]
  ])('knows of code %i whether the same query will have it again: %s', (code, isLasting) => {
    expect(toQueryProblem(engine(code, 'x'))?.isLasting).toBe(isLasting)
  })

  it('does not repeat a message it does not know', () => {
    expect(toQueryProblem(engine(497, 'default: not enough rights on app.secrets', 'ACCESS_DENIED'))).toEqual({
      code: 'query_failed',
      detail: 'the engine refused the query (ACCESS_DENIED)',
      isLasting: false
    })
  })

  it('tells an engine that is away from a query that is wrong, and both from a bug', () => {
    expect(toQueryProblem(new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'connect refused'))).toEqual({
      code: 'unavailable',
      detail: 'the warehouse does not answer',
      isLasting: false
    })
    expect(toQueryProblem(new AppError('PIPE_BREAKER_OPEN', 'open'))).toMatchObject({ code: 'unavailable' })
    expect(toQueryProblem(new AppError('PIPE_DEADLINE', 'slow'))).toMatchObject({ code: 'query_timeout' })
    expect(toQueryProblem(new TypeError('x'))).toBeUndefined()
  })
})
