// Statements that a server refuses and this engine would run. Nested SETTINGS is the dangerous one: in readonly mode
// the engine checks the settings of the outermost SELECT only, so a subquery could change log_comment, which the row
// filters read, and see the rows of every project.
import type { EngineRequest } from './request.ts'

/** A refusal: ClickHouse's code and its sentence. */
export interface Refusal {
  readonly code: number
  readonly message: string
}

const gap = String.raw`(?:\s|/\*[\s\S]*?\*/|--[^\n]*\n|#[^\n]*\n)*`
const name = String.raw`(?:[\w.]+|${'`'}[^${'`'}]*${'`'}|"[^"]*"|\u201c[^\u201d]*\u201d)`
// The text is searched as it is, strings and comments included: what hides a clause from us must not hide from the
// engine. A string that spells out such a clause is refused too; that is the price.
const settingsClause = new RegExp(String.raw`\bSETTINGS${gap}${name}${gap}=`, 'iu')
// A server grants no dictionary to those who may only read: they hold rows of every project, and no row filter covers a
// function. The views that use them are not in the text.
const dictionaryFunction = /dict(?:get|has|isin)/iu
const intoOutfile = new RegExp(String.raw`\bINTO${gap}OUTFILE\b`, 'iu')

/** Why the statement of `request` may not run; undefined when it may. `isKill`: it is a KILL QUERY. */
export function refusalOf(request: Pick<EngineRequest, 'readonly'>, sql: string, isKill: boolean): Refusal | undefined {
  if (intoOutfile.test(sql)) return refusal(358, 'INTO OUTFILE is not allowed', 'INTO_OUTFILE_NOT_ALLOWED')
  if (request.readonly !== '0' && isKill) return refusal(164, 'Cannot execute query in readonly mode', 'READONLY')
  if (request.readonly === '1' && settingsClause.test(sql)) {
    return refusal(164, 'Cannot modify a setting in readonly mode', 'READONLY')
  }
  if (request.readonly === '1' && dictionaryFunction.test(unescaped(sql))) {
    return refusal(497, 'Not enough privileges: dictGet is not granted', 'ACCESS_DENIED')
  }
  return undefined
}

/** A quoted name may be written in escapes, that of a function too. */
function unescaped(sql: string): string {
  return sql.replace(/\\x([0-9a-f]{2})/giu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function refusal(code: number, what: string, codeName: string): Refusal {
  return { code, message: `Code: ${code}. DB::Exception: ${what}. (${codeName})` }
}
