// Finds processes that a test run started and left behind: their environment carries the mark of the run, or their
// command line or environment names its stack. Reads /proc; where there is none, nothing is found.
import { readFileSync, readdirSync } from 'node:fs'

export interface Leftover {
  readonly pid: number
  readonly command: string
}

/** Processes, other than this one, whose environment or command line contains one of `marks`. */
export function findLeftovers(marks: readonly string[]): Leftover[] {
  const found: Leftover[] = []
  for (const name of list('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid || isZombie(pid)) continue
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
    const text = `${command}\n${read(`/proc/${pid}/environ`)}`
    if (marks.some((mark) => text.includes(mark))) found.push({ pid, command: command.slice(0, 200) })
  }
  return found
}

function isZombie(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    // It ended meanwhile, or belongs to somebody else: not ours.
    return ''
  }
}
