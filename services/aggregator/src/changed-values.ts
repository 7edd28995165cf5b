// Which values of an open window are new to the log. A window is read as a whole; of its many dimensions few change
// between two emissions, and readers keep the newest value of each.
import type { MetricMessage } from '@millrace/contracts'

export interface ChangedValues {
  /** The messages of a window that are to be produced: all of a final one, else those that differ from the last. */
  changedOf(window: string, messages: readonly MetricMessage[]): readonly MetricMessage[]
  /** The log has these messages of a window. */
  keep(window: string, messages: readonly MetricMessage[]): void
  /** Forgets everything: others may have emitted meanwhile. */
  clear(): void
}

/** Remembers the values of open windows; those of a final one are forgotten. */
export function createChangedValues(): ChangedValues {
  const windows = new Map<string, Map<string, string>>()
  return {
    changedOf(window, messages) {
      const known = windows.get(window)
      if (known === undefined || messages[0]?.final === true) return messages
      return messages.filter((message) => known.get(message.dimension ?? '') !== markOf(message))
    },
    keep(window, messages) {
      if (messages[0]?.final === true) return void windows.delete(window)
      const known = windows.get(window) ?? new Map<string, string>()
      windows.set(window, known)
      for (const message of messages) known.set(message.dimension ?? '', markOf(message))
    },
    clear: () => windows.clear()
  }
}

function markOf({ value, count, capped, revision: [epoch] }: MetricMessage): string {
  return `${epoch} ${value} ${count} ${capped}`
}
