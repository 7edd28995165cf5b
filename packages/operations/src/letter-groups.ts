// Dead letters by cause: what an operator looks at first. Pure.
import { normalizeMessage } from './letter-fingerprint.ts'
import type { FoundLetter } from './letters.ts'
import { letterStates } from './letter-states.ts'
import type { LetterState } from './letter-states.ts'

export interface LetterGroup {
  readonly fingerprint: string
  readonly group: string
  readonly stage: string
  readonly reason: string
  readonly code: string
  /** Without the values that differ. */
  readonly message: string
  readonly letters: number
  readonly states: Readonly<Record<LetterState, number>>
  readonly firstFailureAtMs: number
  readonly lastFailureAtMs: number
  /** Id of the latest. */
  readonly example: string
}

/** The causes of `letters`, the one with the most open letters first. */
export function groupLetters(letters: readonly FoundLetter[]): readonly LetterGroup[] {
  const groups = [...Map.groupBy(letters, ({ fingerprint }) => fingerprint).values()].flatMap((own) => {
    const last = own.reduce((a, b) => (a.lastFailureAtMs >= b.lastFailureAtMs ? a : b))
    const { fingerprint, group, stage, reason, code, message, lastFailureAtMs, id } = last
    const firstFailureAtMs = own.reduce((first, letter) => Math.min(first, letter.firstFailureAtMs), Infinity)
    const common = { fingerprint, group, stage, reason, code, message: normalizeMessage(message) }
    return [
      { ...common, letters: own.length, states: countStates(own), firstFailureAtMs, lastFailureAtMs, example: id }
    ]
  })
  return groups.toSorted((a, b) => b.states.open - a.states.open || b.letters - a.letters)
}

/** How many of `letters` are in each state. */
export function countStates(letters: readonly Pick<FoundLetter, 'state'>[]): Record<LetterState, number> {
  const counts = Object.fromEntries(letterStates.map((state) => [state, 0])) as Record<LetterState, number>
  for (const { state } of letters) counts[state]++
  return counts
}
