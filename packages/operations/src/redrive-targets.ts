// Which groups a dead letter is sent to once more. As a rule the one that wrote it. The letter of a record that was no event
// is written by the processors alone, for all who skipped the record: when it is one now, they lack it, too. Pure.
import type { FoundLetter } from './letters.ts'

export interface RedriveGroups {
  readonly loadingGroups: readonly string[]
  readonly recordingGroups: readonly string[]
}

/** The groups that lack the record of a letter, the one that wrote it last. */
export function redriveGroups(
  { loadingGroups, recordingGroups }: RedriveGroups,
  { group, stage, code }: Pick<FoundLetter, 'group' | 'stage' | 'code'>
): readonly string[] {
  const wasNoEvent = stage === 'decode' && code === 'PIPE_NOT_AN_EVENT'
  const others = wasNoEvent ? new Set([...loadingGroups, ...recordingGroups]) : []
  return [...[...others].filter((other) => other !== group), group]
}

/**
 * The letter that one of `groups` wrote about the record of `letter` after it was written; `letters` by id. Letters of one
 * record lie in one partition.
 */
export function failedSince(
  { at, origin }: Pick<FoundLetter, 'at' | 'origin'>,
  groups: readonly string[],
  letters: ReadonlyMap<string, FoundLetter>
): FoundLetter | undefined {
  return groups
    .map((group) => letters.get(letterId(group, origin)))
    .find((letter) => letter !== undefined && letter.at.offset > at.offset)
}

/** The id of the letter that `group` writes about a record. */
export function letterId(group: string, { topic, partition, offset }: FoundLetter['origin']): string {
  return `${group}:${topic}:${partition}:${offset}`
}
