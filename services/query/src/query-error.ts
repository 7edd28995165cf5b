// What a failed query tells its author: the fault in the words of the engine where they concern the query, without
// the names of what lies beneath the view.
import { AppError } from '@millrace/kernel'
import type { ProblemCode } from '@millrace/contracts'
import { readableTables } from './sql/vocabulary.ts'

/** A problem for the author of a query. */
export interface QueryProblem {
  readonly code: ProblemCode
  readonly detail: string
  /** The same query will have it again, whatever the load. */
  readonly isLasting: boolean
  /** When the same query may go through. */
  readonly retryAfterMs?: number
  /** More of it, for the reply. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** ClickHouse codes of limits, each with what to do about it. */
const limits: Readonly<Record<number, string>> = {
  158: 'the query reads too many rows; narrow the time range',
  241: 'the query needs too much memory; group by fewer values or narrow the time range',
  307: 'the query reads too many bytes; narrow the time range or name fewer columns',
  396: 'the answer has too many rows or bytes; add LIMIT or aggregate',
  167: 'the query is nested too deep',
  168: 'the query has too many parts',
  191: 'a set right of IN is too large'
}

/** ClickHouse codes of mistakes in the text of a query; their message helps and concerns the query alone. */
const mistakes: ReadonlySet<number> = new Set([
  6, 20, 27, 32, 35, 36, 38, 41, 42, 43, 44, 46, 47, 53, 62, 69, 70, 72, 130, 153, 179, 184, 190, 207, 215, 321, 349,
  352, 386, 403, 407, 427, 456, 457
])

const timeoutCodes: ReadonlySet<number> = new Set([159, 160])
/** Of functions; also what they say of a dictionary that is not there. */
const badArguments = 36
/** What a query takes of memory depends on what else runs. */
const memoryLimit = 241

/** The problem for anything thrown while a query ran; undefined for what is not the query's fault and not known. */
export function toQueryProblem(error: unknown): QueryProblem | undefined {
  if (!(error instanceof AppError)) return undefined
  switch (error.code) {
    case 'PIPE_CLICKHOUSE_UNAVAILABLE':
    case 'PIPE_BREAKER_OPEN':
      return passing('unavailable', isCrowded(error) ? error.message : 'the warehouse does not answer')
    case 'PIPE_RATE_LIMITED':
      return ofLimit(error)
    case 'PIPE_DEADLINE':
      return passing('query_timeout', tooSlow)
    case 'PIPE_CLICKHOUSE_QUERY':
      return ofEngine(error)
    default:
      return undefined
  }
}

function ofLimit({ message, details }: AppError): QueryProblem {
  const { retryAfterMs, ...budget } = details
  return { ...passing('rate_limited', message), retryAfterMs: Number(retryAfterMs), more: { budget } }
}

const tooSlow = 'the query took too long; narrow the time range'

function ofEngine(error: AppError): QueryProblem {
  if (error.details['limit'] === 'result_bytes') return lasting('query_limit', limits[396] ?? '')
  const code = Number(error.details['code'])
  if (timeoutCodes.has(code)) return passing('query_timeout', tooSlow)
  const limit = limits[code]
  if (limit !== undefined) return { code: 'query_limit', detail: limit, isLasting: code !== memoryLimit }
  if (mistakes.has(code) && !isOfDictionary(code, error)) return lasting('query_failed', publicMessage(error))
  const type = error.details['type']
  return passing('query_failed', `the engine refused the query${typeof type === 'string' ? ` (${type})` : ''}`)
}

/** The dictionaries beneath a view are none of a query's doing: they load by themselves, or again. */
function isOfDictionary(code: number, error: AppError): boolean {
  return code === badArguments && /dictionar/i.test(messageOf(error))
}

function isCrowded({ details }: AppError): boolean {
  return details['reason'] === 'bulkhead'
}

function lasting(code: ProblemCode, detail: string): QueryProblem {
  return { code, detail, isLasting: true }
}

function passing(code: ProblemCode, detail: string): QueryProblem {
  return { code, detail, isLasting: false }
}

/** The first sentence of the engine's message without scopes, versions and the physical schema. */
export function publicMessage(error: AppError): string {
  const [first] = messageOf(error)
    .replace(/^(?:Code: \d+\. )?(?:DB::Exception: )*/, '')
    .split(/(?: In query | In scope | in scope |: While | While processing |\. Stack trace|\(version )/)
  return (
    (first ?? '')
      .replace(/`?__table\d+`?\.?/g, '')
      .replace(/\bevents_raw\b/g, 'events')
      // What stands before a name is a database or a name for a table, except where it is a table that can be read.
      .replace(/(?<![\w.])`?([A-Za-z_]\w*)`?\.(?=`?[A-Za-z_])/g, (all, name: string) =>
        readableTables.has(name) ? all : ''
      )
      .trim()
      .slice(0, 500)
  )
}

function messageOf(error: AppError): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}
