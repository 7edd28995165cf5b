// Tells whether a pid is still the process it was: pids are reused, a pid with its start time is not.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** When the process started, in the system's own unit; undefined when it does not run (a zombie does not). */
export function processStartedAt(pid: number): string | undefined {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
    const match = /^(\S+)\s+(.+)$/.exec((stdout ?? '').trim())
    return match === null || match[1]?.startsWith('Z') ? undefined : match[2]
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command may contain spaces and parentheses: fields are counted after its last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
