// Every process below this one, however deep: what a run started and would leave behind when it has to end at once. Reads /proc;
// where there is none, nothing is found.
import { readFileSync, readdirSync } from 'node:fs'

/** The pids below `root`, parents before their children. */
export function descendantsOf(root: number): readonly number[] {
  const children = Map.groupBy(pids(), parentOf)
  const found = [...(children.get(root) ?? [])]
  // The list grows while it is walked.
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/**
 * Kills every process below this one. Synchronous, so that nothing here can start one of them again: the caller exits
 * next.
 */
export function killDescendants(): void {
  for (const pid of descendantsOf(process.pid)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended between the look and the signal.
    }
  }
}

function pids(): readonly number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command may contain spaces and parentheses: fields are counted after its last one.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
