// Picking dead letters by what their headers say: `group=load`, `reason!=bug`, `message~out of range`.
import { AppError } from '@millrace/kernel'
import type { FoundLetter } from './letters.ts'

/** What a letter may be picked by. */
const fields = {
  id: ({ id }) => id,
  group: ({ group }) => group,
  stage: ({ stage }) => stage,
  reason: ({ reason }) => reason,
  code: ({ code }) => code,
  message: ({ message }) => message,
  fingerprint: ({ fingerprint }) => fingerprint,
  state: ({ state }) => state,
  topic: ({ origin }) => origin.topic,
  partition: ({ origin }) => String(origin.partition),
  offset: ({ origin }) => String(origin.offset),
  attempts: ({ attempts }) => String(attempts),
  version: ({ appVersion }) => appVersion,
  schema: ({ schemaId }) => schemaId ?? ''
} as const satisfies Record<string, (letter: FoundLetter) => string>

export const letterFields = Object.keys(fields)

/** The conditions as a person reads them. */
export const letterConditions =
  '<field>=<value>[,<value>...], <field>!=<value> or <field>~<part of it>; all of them must hold'

/**
 * A test of letters from conditions such as `group=load`. Throws PIPE_INVALID_INPUT naming the condition that is wrong.
 */
export function parseLetterFilter(conditions: readonly string[]): (letter: FoundLetter) => boolean {
  const tests = conditions.map(parseCondition)
  return (letter) => tests.every((test) => test(letter))
}

function parseCondition(text: string): (letter: FoundLetter) => boolean {
  const match = /^\s*([a-z]+)\s*(!=|=|~)\s*(.*?)\s*$/s.exec(text)
  const [, name = '', operator, wanted = ''] = match ?? []
  if (!isField(name)) throw wrong(text)
  const read = fields[name]
  if (operator === '~') {
    const part = wanted.toLowerCase()
    return (letter) => read(letter).toLowerCase().includes(part)
  }
  // A message has commas of its own.
  const values = new Set(name === 'message' ? [wanted] : wanted.split(',').map((value) => value.trim()))
  return (letter) => values.has(read(letter)) === (operator === '=')
}

function isField(name: string): name is keyof typeof fields {
  return Object.hasOwn(fields, name)
}

function wrong(text: string): AppError {
  const rule = `write ${letterConditions}; fields: ${letterFields.join(', ')}`
  return new AppError('PIPE_INVALID_INPUT', `'${text}' is no condition on letters: ${rule}`)
}
