import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { toPostgresError } from './postgres-errors.ts'

const server = (code: string): Error => Object.assign(new Error('server says no'), { code, severity: 'ERROR' })
const socket = (code: string): Error => Object.assign(new Error('socket'), { code })

describe('toPostgresError', () => {
  it.each([
    ['a unique violation', server('23505'), 'PIPE_CONFLICT'],
    ['another broken constraint', server('23503'), 'PIPE_POSTGRES_REFUSED'],
    ['a value of the wrong type', server('22P02'), 'PIPE_POSTGRES_REFUSED'],
    ['a syntax error', server('42601'), 'PIPE_POSTGRES_REFUSED'],
    ['a state nobody listed', server('XX000'), 'PIPE_POSTGRES_REFUSED'],
    ['a server that shuts down', server('57P01'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a server that starts', server('57P03'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a statement timeout', server('57014'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['too many connections', server('53300'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a full disk', server('53100'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a deadlock', server('40P01'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a failed serialization', server('40001'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a lock that is not free', server('55P03'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a wrong password', server('28P01'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a table that is not migrated yet', server('42P01'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a standby', server('25006'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a refused connection', socket('ECONNREFUSED'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['an errno of five letters', socket('EPIPE'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a client timeout', new Error('Query read timeout'), 'PIPE_POSTGRES_UNAVAILABLE'],
    ['a parameter that cannot be sent', new TypeError('circular'), 'PIPE_POSTGRES_REFUSED'],
    ['what is no error', 'oops', 'PIPE_POSTGRES_UNAVAILABLE']
  ])('%s', (_what, thrown, code) => {
    expect(toPostgresError(thrown, 'test').code).toBe(code)
  })

  it('keeps an AppError as it is and names state and constraint of others', () => {
    const known = new AppError('PIPE_CONFLICT', 'x')
    expect(toPostgresError(known, 'test')).toBe(known)
    const error = Object.assign(server('23505'), { constraint: 'projects_pkey' })
    expect(toPostgresError(error, 'insert a project').details).toEqual({
      sqlstate: '23505',
      constraint: 'projects_pkey'
    })
    expect(toPostgresError(socket('EPIPE'), 'test').details).toEqual({ errno: 'EPIPE' })
  })
})
