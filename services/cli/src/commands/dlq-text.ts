// Dead letters as people read them.
import type { LetterGroup } from '@millrace/operations/letter-groups'
import type { FoundLetter } from '@millrace/operations/letters'
import type { RedriveReport } from '@millrace/operations/redrive-letters'
import type { ShownLetter } from '@millrace/operations/show-letter'
import { formatCount, toTable } from '../output.ts'

const maxMessage = 60

/** A table, one letter a line. */
export function renderLetters(letters: readonly FoundLetter[], colour: boolean): string {
  const rows = letters.map(({ id, state, reason, code, attempts, lastFailureAtMs, fingerprint, message }) => [
    id,
    state,
    reason,
    code,
    attempts,
    new Date(lastFailureAtMs).toISOString(),
    fingerprint,
    short(message)
  ])
  return toTable(['letter', 'state', 'reason', 'code', 'tries', 'last failure', 'cause', 'message'], rows, colour)
}

/** A table, one cause a line. */
export function renderGroups(groups: readonly LetterGroup[], colour: boolean): string {
  const rows = groups.map(({ fingerprint, group, reason, code, letters, states, lastFailureAtMs, message }) => [
    fingerprint,
    group,
    reason,
    code,
    letters,
    states.open,
    new Date(lastFailureAtMs).toISOString(),
    short(message)
  ])
  return toTable(['cause', 'group', 'reason', 'code', 'letters', 'open', 'last failure', 'message'], rows, colour)
}

/** Everything about one letter. */
export function renderLetter(letter: ShownLetter): string {
  const { origin, bytes, encoding, value, copies } = letter
  const headers = Object.entries(letter.headers).map(([name, text]) => `  ${name}: ${text}`)
  return [
    `letter         ${letter.id}`,
    `state          ${letter.state}${copies > 1 ? ` (written ${copies} times)` : ''}`,
    `record         ${origin.topic}:${origin.partition}:${origin.offset}, appended ${time(origin.appendedAtMs)}`,
    `failed in      group ${letter.group}, ${letter.stage}, after ${letter.attempts} tries, version ${letter.appVersion}`,
    `first failure  ${time(letter.firstFailureAtMs)}`,
    `last failure   ${time(letter.lastFailureAtMs)}`,
    `reason         ${letter.reason} (${letter.code})`,
    `message        ${letter.message}`,
    `cause          ${letter.fingerprint}`,
    ...(letter.schemaId === undefined ? [] : [`schema         ${letter.schemaId}`]),
    `key            ${letter.key ?? '-'}`,
    ...(headers.length === 0 ? [] : ['headers', ...headers]),
    value === undefined
      ? 'bytes          only in the original record'
      : `bytes          ${formatCount(bytes)}${encoding === 'base64' ? ', no text: base64' : ''}`,
    ...(value === undefined ? [] : ['', value])
  ].join('\n')
}

const shownLetters = 20

/** What would be done. */
export function renderPreview(
  { matched, letters }: { readonly matched: number; readonly letters: readonly FoundLetter[] },
  done: string,
  colour: boolean
): string {
  if (letters.length === 0) return 'no open letter matches'
  const rest = letters.length > shownLetters ? `... and ${formatCount(letters.length - shownLetters)} more\n` : ''
  const left = matched > letters.length ? `; ${formatCount(matched - letters.length)} beyond the limit` : ''
  const table = renderLetters(letters.slice(0, shownLetters), colour)
  return `${table}\n${rest}${formatCount(letters.length)} letters would be ${done}${left}; add --yes to do it`
}

/** What was done. */
export function renderReport({ matched, outcomes, dropped, stopped, results }: RedriveReport): string {
  const counts = Object.entries(outcomes).filter(([, count]) => count > 0)
  const problems = results.filter(({ detail }) => detail !== undefined).slice(0, shownLetters)
  return [
    `${formatCount(matched)} open letters matched`,
    ...counts.map(([outcome, count]) => `${outcome.padEnd(10)} ${formatCount(count)}`),
    ...(dropped > 0 ? [`given up   ${formatCount(dropped)}`] : []),
    ...(stopped ? ['stopped: a letter failed again'] : []),
    ...problems.map(({ id, outcome, detail }) => `  ${id} ${outcome}: ${detail}`)
  ].join('\n')
}

function time(atMs: number): string {
  return new Date(atMs).toISOString()
}

function short(text: string): string {
  return text.length > maxMessage ? `${text.slice(0, maxMessage - 1)}…` : text
}
