// Promises of time on a machine that others use, too: one slow run says nothing about the code, a fast one does.

/**
 * The time of the fastest of at most `tries` runs, in milliseconds. `attempt` gives the time of what it measured, and
 * must not be quicker for having run before; a run of less than `enoughMs` is the last one.
 */
export async function fastestOf(
  tries: number,
  enoughMs: number,
  attempt: (index: number) => Promise<number>
): Promise<number> {
  let fastestMs = Number.POSITIVE_INFINITY
  for (let index = 0; index < tries && fastestMs >= enoughMs; index++) {
    fastestMs = Math.min(fastestMs, await attempt(index))
  }
  return fastestMs
}
