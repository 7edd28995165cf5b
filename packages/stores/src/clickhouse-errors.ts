// What a ClickHouse failure means for the caller, by the server's numeric code. The same code can mean different
// things for an insert and for a query: out of memory is the server's trouble for the loader, a limit for an analyst.
import { AppError, toError } from '@millrace/kernel'
import type { ErrorCode, ErrorDetails } from '@millrace/kernel'

export type ClickhouseWork = 'insert' | 'query'

/**
 * Codes that blame the rows of an insert; only these let a loader look for the row. Everything else, an unknown code
 * included, is waited out: setting innocent rows aside would be worse than a pause that someone sees.
 */
const dataCodes: ReadonlySet<number> = new Set([
  6, // CANNOT_PARSE_TEXT
  25, // CANNOT_PARSE_ESCAPE_SEQUENCE
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  33, // CANNOT_READ_ALL_DATA
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  53, // TYPE_MISMATCH
  69, // ARGUMENT_OUT_OF_BOUND
  70, // CANNOT_CONVERT_TYPE
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  130, // CANNOT_READ_ARRAY_FROM_TEXT
  131, // TOO_LARGE_STRING_SIZE
  190, // SIZES_OF_ARRAYS_DONT_MATCH
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  376, // CANNOT_PARSE_UUID
  467, // CANNOT_PARSE_BOOL
  469, // VIOLATED_CONSTRAINT
  675, // CANNOT_PARSE_IPV4
  676, // CANNOT_PARSE_IPV6
  691 // UNKNOWN_ELEMENT_OF_ENUM
])

/** Codes after which the same query can succeed later; every other code of the server is the query's own fault. */
const overloadCodes: ReadonlySet<number> = new Set([
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  194, // REQUIRED_PASSWORD
  201, // QUOTA_EXCEEDED
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  209, // SOCKET_TIMEOUT
  210, // NETWORK_ERROR
  225, // NO_ZOOKEEPER
  236, // ABORTED
  242, // TABLE_IS_READ_ONLY
  243, // NOT_ENOUGH_SPACE
  279, // ALL_CONNECTION_TRIES_FAILED
  394, // QUERY_WAS_CANCELLED
  425, // SYSTEM_ERROR
  473, // DEADLOCK_AVOIDED
  516, // AUTHENTICATION_FAILED
  999 // KEEPER_EXCEPTION
])

/**
 * The AppError for anything thrown while doing `what`; an AppError passes unchanged. `details.code` is the number of the
 * server, `details.errno` the name of what happened to the connection.
 */
export function toClickhouseError(thrown: unknown, work: ClickhouseWork, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const error = toError(thrown)
  const number = serverCode(error)
  const type: unknown = Reflect.get(error, 'type')
  const errno: unknown = Reflect.get(error, 'code')
  const details: ErrorDetails = {
    ...(number === undefined ? {} : { code: number }),
    ...(number === undefined && typeof errno === 'string' ? { errno } : {}),
    ...(typeof type === 'string' ? { type } : {})
  }
  return new AppError(codeOf(number, work), `ClickHouse: ${what}: ${error.message}`, { cause: error, details })
}

/** Statuses with which a server or a proxy refuses a request for what it is: too long, or not to be read. */
const requestStatuses: ReadonlySet<number> = new Set([400, 413, 414, 431])

/**
 * The error in the body of a reply to a query, with `code` and `type` of the server, which writes `Code: 62. DB::Exception:
 * Syntax error: ... (SYNTAX_ERROR) (version ...)`, and that around the same of another server in a cluster. A reply without
 * them is not ClickHouse's: PIPE_CLICKHOUSE_QUERY where its status blames the request, since no repeating would help.
 */
export function toReplyError(status: number, body: string): Error {
  const code = /\bCode: (\d{1,5})\b/.exec(body)?.[1]
  const innermost = body.slice(body.lastIndexOf(marker) + marker.length)
  const type = /\(([A-Z][A-Z0-9_]{2,})\)/.exec(innermost)
  if (code !== undefined && type !== null && body.includes(marker)) {
    return Object.assign(new Error(innermost.slice(0, type.index)), { code, type: type[1] })
  }
  const error = new Error(`status ${status}: ${body.slice(0, 500)}`)
  if (!requestStatuses.has(status)) return error
  return new AppError('PIPE_CLICKHOUSE_QUERY', `ClickHouse: the request was refused with ${error.message}`, {
    details: { status }
  })
}

const marker = 'Exception: '

function codeOf(number: number | undefined, work: ClickhouseWork): ErrorCode {
  if (number === undefined) return 'PIPE_CLICKHOUSE_UNAVAILABLE'
  if (work === 'insert') return dataCodes.has(number) ? 'PIPE_CLICKHOUSE_REFUSED' : 'PIPE_CLICKHOUSE_UNAVAILABLE'
  return overloadCodes.has(number) ? 'PIPE_CLICKHOUSE_UNAVAILABLE' : 'PIPE_CLICKHOUSE_QUERY'
}

/** The client gives errors of the server a decimal `code`; sockets have names such as ECONNRESET there. */
function serverCode(error: Error): number | undefined {
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' && /^\d{1,4}$/.test(code) ? Number(code) : undefined
}
