// Which dead letters have one cause: the same group, class, code, stage and message, whatever values the message quotes.
import { createHash } from 'node:crypto'
import type { Letter } from '@millrace/consumer'

type Cause = Pick<Letter, 'group' | 'stage' | 'reason' | 'code' | 'message'>

/** Twelve hexadecimal characters, the same for letters of one cause. */
export function fingerprintOf({ group, stage, reason, code, message }: Cause): string {
  const text = JSON.stringify([group, reason, code, stage, normalizeMessage(message)])
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

const rules: readonly (readonly [RegExp, string])[] = [
  [/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g, '<text>'],
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, '<id>'],
  [/\b(?=[a-z_-]*\d)[\w-]{16,}\b/gi, '<id>'],
  [/[-+]?\d+(?:[.,:]\d+)*/g, '<n>'],
  [/\s+/g, ' ']
]

const maxLength = 200

/** `message` without the values that differ from letter to letter. */
export function normalizeMessage(message: string): string {
  let text = message
  for (const [pattern, replacement] of rules) text = text.replace(pattern, replacement)
  return text.trim().slice(0, maxLength)
}
