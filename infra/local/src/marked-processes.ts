// Finds processes that somebody started and left behind, by a mark in their environment: a command line may name the same files
// for reasons of its own, as an editor does. Reads /proc; where there is none, nothing is found.
import { readFileSync, readdirSync } from 'node:fs'

/** A process that carries a mark. */
export interface MarkedProcess {
  readonly pid: number
  readonly command: string
}

/** Processes, other than this one, whose environment contains one of `marks` (`NAME=value`). */
export function findMarked(marks: readonly string[]): MarkedProcess[] {
  const found: MarkedProcess[] = []
  for (const name of list('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid || isZombie(pid)) continue
    const environment = read(`/proc/${pid}/environ`).split('\0')
    if (!marks.some((mark) => environment.includes(mark))) continue
    found.push({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 200) })
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
