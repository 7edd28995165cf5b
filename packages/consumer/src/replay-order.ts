// What is decided about a consumer group from outside, and who tells: its members stay out of it for a while, or read a
// part of the log once more beside it.

/** A part of one topic that is to be read again. */
export interface ReplayOrder {
  readonly id: string
  /** The group that holds the positions of the replay; it is not the group that reads the live log. */
  readonly group: string
  readonly topic: string
  /** Offset after the last record of each partition that is read again; partitions that are not named are not read. */
  readonly ends: ReadonlyMap<number, bigint>
  /** Records a second at most, over all workers. */
  readonly perSecond: number | undefined
}

export interface GroupOrders {
  /** Milliseconds from now for which members stay out of the group; 0: they may be in it. */
  readonly heldForMs: number
  readonly replay: ReplayOrder | undefined
}

/** Nothing is decided: the group works as ever. */
export const noOrders: GroupOrders = { heldForMs: 0, replay: undefined }

export interface GroupDesk {
  /** What is decided now. Throws an AppError while that cannot be known. */
  orders(): Promise<GroupOrders>
  /**
   * Milliseconds since somebody last let a stopped group go on, by the clock of the desk; undefined: nobody did. Throws an
   * AppError while that cannot be known.
   */
  resumedAgoMs(): Promise<number | undefined>
  /** A replay ended by an error that waiting does not help. */
  failed(id: string, error: unknown): Promise<void>
}
