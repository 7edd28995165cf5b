// What became of a dead letter, from what is stored about it. Nothing is remembered beside the topics but decisions of
// people, so a redrive that is killed leaves nothing behind that could be wrong. The redrive topics keep their records
// longer than the dead-letter topics theirs (topics.yaml), so a letter does not open again by retention. Pure.
//
// | state    | when                                                                                             |
// | open     | nobody did anything about its latest copy                                                        |
// | redriven | a copy made from its latest copy waits in a redrive topic                                        |
// | closed   | all groups that it was sent to passed such a copy without the letter being written anew; or its  |
// |          | day is counted again                                                                             |
// | dropped  | a person gave it up                                                                              |

/** Where a copy of a letter lies in its dead-letter topic. */
export interface LetterPlace {
  readonly partition: number
  readonly offset: bigint
}

export const letterStates = ['open', 'redriven', 'closed', 'dropped'] as const
export type LetterState = (typeof letterStates)[number]

/** A copy of a letter in the redrive topic of `group`. */
export interface Redriven {
  readonly group: string
  /** The copy in the dead-letter topic that it was made from. */
  readonly from: LetterPlace
  /** `waiting`: the group has not come to it. `passed`: it has. */
  readonly fate: 'waiting' | 'passed'
}

/** What a person decided about a letter. `recount`: its day is counted again from the warehouse. */
export interface LetterDecision {
  readonly kind: 'drop' | 'recount'
  readonly at: LetterPlace
}

/**
 * The state of the letter of `group` whose latest copy lies at `latest`. What was sent to other groups alone is the rest of
 * a redrive that was killed: its own group is sent to last. A copy that was written after the redrive or the decision
 * is a failure after it: the letter is open again.
 */
export function letterStateOf(
  { group, at: latest }: { readonly group: string; readonly at: LetterPlace },
  redriven: readonly Redriven[],
  decision: LetterDecision | undefined
): LetterState {
  const made = Map.groupBy(
    redriven.filter(({ from }) => covers(from, latest)),
    (copy) => copy.group
  )
  const hasPassed = [...made.values()].every((copies) => copies.some(({ fate }) => fate === 'passed'))
  const decided = decision !== undefined && covers(decision.at, latest) ? decision.kind : undefined
  if ((made.has(group) && hasPassed) || decided === 'recount') return 'closed'
  if (decided === 'drop') return 'dropped'
  return made.has(group) ? 'redriven' : 'open'
}

/** A letter has one partition as long as the topic does not grow; places of two partitions cannot be compared. */
function covers(place: LetterPlace, latest: LetterPlace): boolean {
  return place.partition === latest.partition && place.offset >= latest.offset
}

const header = /^(\d{1,9}):(\d{1,19})$/

/** The name of the header that says which copy a redriven letter was made from. */
export const redrivenFrom = 'dlq.redriven-from'

/** The header of a letter that is redriven from `place`. */
export function writeRedrivenFrom({ partition, offset }: LetterPlace): string {
  return `${partition}:${offset}`
}

/** Reads it back; undefined for anything else. */
export function parseRedrivenFrom(text: string | undefined): LetterPlace | undefined {
  const match = header.exec(text ?? '')
  return match === null ? undefined : { partition: Number(match[1]), offset: BigInt(match[2] ?? '0') }
}
