// What a PostgreSQL failure means for the caller. Decided by SQLSTATE or errno, never by message text, and total: what
// is not known is a dependency in trouble only when it comes from the connection, else a refusal of this statement.
import { AppError, toError } from '@millrace/kernel'
import type { ErrorCode, ErrorDetails } from '@millrace/kernel'

/** Classes of SQLSTATE (their first two characters) after which the same statement can succeed later. */
const transientClasses = new Set([
  '08', // connection exception
  '40', // rollback: serialization failure, deadlock
  '53', // insufficient resources
  '55', // object not in prerequisite state: lock not available
  '57', // operator intervention: shutdown, starting up, statement timeout
  '58' // system error outside PostgreSQL
])

/** SQLSTATEs of wrong deployments: they heal when a person acts, and no input is to blame. */
const deploymentStates = new Set([
  '28000', // invalid authorization
  '28P01', // invalid password
  '3D000', // no such database
  '42501', // insufficient privilege
  '42P01', // undefined table: the migrations have not run
  '42703', // undefined column
  '25006' // read-only transaction: a standby after a failover
])

const uniqueViolation = '23505'

/** The AppError for anything thrown by the PostgreSQL client while doing `what`; an AppError passes unchanged. */
export function toPostgresError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const error = toError(thrown)
  const details = factsOf(error)
  const code = isOurFault(error) ? 'PIPE_POSTGRES_REFUSED' : codeOf(details['sqlstate'])
  return new AppError(code, `PostgreSQL: ${what}: ${error.message}`, { cause: error, details })
}

function codeOf(state: unknown): ErrorCode {
  // No SQLSTATE: the server never judged the statement (socket errors, pool and client timeouts, protocol breaks).
  if (typeof state !== 'string') return 'PIPE_POSTGRES_UNAVAILABLE'
  if (state === uniqueViolation) return 'PIPE_CONFLICT'
  if (transientClasses.has(state.slice(0, 2)) || deploymentStates.has(state)) return 'PIPE_POSTGRES_UNAVAILABLE'
  return 'PIPE_POSTGRES_REFUSED'
}

/** A parameter that cannot be serialised throws before anything is sent; waiting would not help. */
function isOurFault(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError
}

function factsOf(error: Error): ErrorDetails {
  const code: unknown = Reflect.get(error, 'code')
  const constraint: unknown = Reflect.get(error, 'constraint')
  return {
    ...(typeof code === 'string' && isSqlState(code, error) ? { sqlstate: code } : {}),
    ...(typeof code === 'string' && !isSqlState(code, error) ? { errno: code } : {}),
    ...(typeof constraint === 'string' ? { constraint } : {})
  }
}

/** Five characters, and sent by the server (it always adds a severity): EPIPE has five characters too. */
function isSqlState(code: string, error: Error): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && typeof Reflect.get(error, 'severity') === 'string'
}
