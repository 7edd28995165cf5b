// The states of a lane and the moves between them. A lane changes its state in one place (Lane.become), which refuses
// every move that is not in this table.
//
// | state      | entered when                              | left when                                              |
// | filling    | assigned, committed, rewound, given back  | a flush limit is reached, or stopping: flushing        |
// | flushing   | its records are in a batch                | outcomes known and letters acked: committing;          |
// |            |                                           | transient error: waiting; rewind or undecided: filling |
// | waiting    | a dependency is down; partition paused    | backoff over: flushing or committing                   |
// | committing | effects stored and letters acked          | committed: filling; no answer: waiting                 |
// | fenced     | partition lost, group moved on, or stop   | never: the next assignment makes a new lane            |
// | failed     | unknown error in its batch                | never: `done` rejects and the process exits            |

export type LaneState = 'filling' | 'flushing' | 'waiting' | 'committing' | 'fenced' | 'failed'

export const laneStates = ['filling', 'flushing', 'waiting', 'committing', 'fenced', 'failed'] as const

const moves: Readonly<Record<LaneState, readonly LaneState[]>> = {
  filling: ['flushing', 'fenced', 'failed'],
  flushing: ['waiting', 'committing', 'filling', 'fenced', 'failed'],
  waiting: ['flushing', 'committing', 'fenced', 'failed'],
  committing: ['filling', 'waiting', 'fenced', 'failed'],
  fenced: [],
  failed: []
}

/** Whether a lane may go from `from` to `to`. */
export function mayBecome(from: LaneState, to: LaneState): boolean {
  return moves[from].includes(to)
}
