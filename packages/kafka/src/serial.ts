// Calls of handlers, strictly one after another in the order they were asked for, and none after the end.

export interface Serial {
  /** Runs `task` after all earlier ones; undefined when the queue was closed before its turn. */
  run<T>(task: () => T | Promise<T>): Promise<T | undefined>
  /** No task starts from now on. */
  close(): void
}

/** Creates a queue whose tasks never overlap; a task that throws does not stop the later ones. */
export function createSerial(): Serial {
  let tail: Promise<unknown> = Promise.resolve()
  let closed = false
  return {
    run: (task) => {
      const turn = tail.then(() => (closed ? undefined : task()))
      tail = turn.catch(() => undefined)
      return turn
    },
    close: () => {
      closed = true
    }
  }
}
