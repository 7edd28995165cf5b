// Everything the tool prints: aligned tables, JSON, one line per error. No command writes to a stream by itself.
import { styleText } from 'node:util'
import { AppError, toError } from '@millrace/kernel'

/** Where a command prints. `colour` is true only on a terminal that wants colours. */
export interface Terminal {
  /** One line, or several. */
  out(text: string): void
  /** Text without a line feed, for a line that is rewritten in place. */
  write(text: string): void
  error(text: string): void
  readonly isTty: boolean
  readonly colour: boolean
  /** Width in characters. */
  readonly columns: number
}

/** A cell of a table; numbers are aligned right with a thousands separator, undefined is shown as `-`. */
export type Cell = string | number | bigint | boolean | undefined

/** Wrong use of the tool: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** An output of a process; a file or pipe has neither `isTTY` nor `columns`. */
interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** The terminal of this process. */
export function createTerminal(
  { stdout, stderr }: { stdout: Stream; stderr: Stream },
  env: Readonly<Record<string, string | undefined>>
): Terminal {
  const isTty = stdout.isTTY ?? false
  return {
    out: (text) => void stdout.write(`${text}\n`),
    write: (text) => void stdout.write(text),
    error: (text) => void stderr.write(`${text}\n`),
    isTty,
    colour: isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    columns: stdout.columns ?? 80
  }
}

/** A table with a header line and columns two spaces apart; no line ends in spaces. */
export function toTable(headers: readonly string[], rows: readonly (readonly Cell[])[], colour = false): string {
  const texts = rows.map((row) => headers.map((_, column) => cellText(row[column])))
  const right = headers.map((_, column) => rows.length > 0 && rows.every((row) => isNumber(row[column])))
  const widths = headers.map((header, column) =>
    Math.max(header.length, ...texts.map((cells) => cells[column]?.length ?? 0))
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        right[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
      )
      .join('  ')
      .trimEnd()
  return [style(line(headers), 'bold', colour), ...texts.map(line)].join('\n')
}

/** JSON for a program; bigints are written as decimal strings. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each), 2)
}

/** `value` as JSON when `json`, else the text that `render` makes. */
export function print<T>(terminal: Terminal, json: boolean | undefined, value: T, render: (value: T) => string): void {
  terminal.out(json === true ? toJson(value) : render(value))
}

/** `text` in a style of util.styleText when `colour`. */
export function style(text: string, format: Parameters<typeof styleText>[0], colour: boolean): string {
  return colour ? styleText(format, text, { validateStream: false }) : text
}

/** The exit code for an error: 2 for wrong use, else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof UsageError ? 2 : 1
}

/** One line for a person: what went wrong, where, and what to do. An unexpected error says that it is one. */
export function errorLine(error: unknown): string {
  const { message } = toError(error)
  const text = message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ')
  const expected = error instanceof AppError || error instanceof UsageError
  return `millrace: ${expected ? text : `unexpected error: ${text} (MILLRACE_DEBUG=1 shows where)`}`
}

function isNumber(cell: Cell): boolean {
  return typeof cell === 'number' || typeof cell === 'bigint'
}

function cellText(cell: Cell): string {
  if (cell === undefined || cell === '') return '-'
  if (typeof cell === 'number' || typeof cell === 'bigint') return formatCount(cell)
  return String(cell)
}

/** `12345` as `12,345`. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US')
}
