// CPU and memory of processes and of the machine, read from /proc. Times are in milliseconds.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** One process. `cpuMs` includes the children it has waited for, so a tree's sum misses nobody that ended in it. */
export interface ProcessTimes {
  readonly pid: number
  readonly parent: number
  readonly cpuMs: number
  /** Clock ticks since boot at its start: tells a process from a later one with the same pid. */
  readonly startedAt: number
  readonly rssBytes: number
}

/** Time of all CPUs since boot. */
export interface MachineTimes {
  readonly busyMs: number
  readonly stealMs: number
  readonly totalMs: number
}

/** Units of /proc on this machine. */
export interface ProcUnits {
  readonly ticksPerSecond: number
  readonly pageBytes: number
}

/** The units as `getconf` tells them. */
export function readUnits(): ProcUnits {
  const ask = (name: string): number => Number(execFileSync('getconf', [name], { encoding: 'utf8' }))
  return { ticksPerSecond: ask('CLK_TCK'), pageBytes: ask('PAGESIZE') }
}

/** Reads one line of /proc/<pid>/stat; undefined when it is not one. */
export function parseProcess(stat: string, units: ProcUnits): ProcessTimes | undefined {
  // The second field is the name in brackets and may hold anything, brackets and spaces included.
  const end = stat.lastIndexOf(')')
  const pid = Number.parseInt(stat, 10)
  const fields = stat
    .slice(end + 2)
    .trim()
    .split(' ')
    .map(Number)
  const [parent, startedAt, pages] = [fields[1], fields[19], fields[21]]
  const ticks = fields.slice(11, 15).reduce((sum, each) => sum + each, 0)
  if (end < 0 || parent === undefined || startedAt === undefined || pages === undefined) return undefined
  return {
    pid,
    parent,
    cpuMs: (ticks * 1_000) / units.ticksPerSecond,
    startedAt,
    rssBytes: pages * units.pageBytes
  }
}

/** Reads the first line of /proc/stat. */
export function parseMachine(stat: string, units: ProcUnits): MachineTimes {
  const line = stat.split('\n', 1)[0] ?? ''
  // user nice system idle iowait irq softirq steal; guest times are inside user and nice already.
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  const toMs = (ticks: number): number => (ticks * 1_000) / units.ticksPerSecond
  const busy = user + nice + system + irq + softirq
  return { busyMs: toMs(busy), stealMs: toMs(steal), totalMs: toMs(busy + idle + iowait + steal) }
}

/** All processes of this machine by pid. */
export function readProcesses(units: ProcUnits): ReadonlyMap<number, ProcessTimes> {
  const found = new Map<number, ProcessTimes>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const times = parseProcess(readFileSync(`/proc/${name}/stat`, 'utf8'), units)
      if (times !== undefined) found.set(times.pid, times)
    } catch {
      // It ended between the listing and the read.
    }
  }
  return found
}

/** The machine's times now. */
export function readMachine(units: ProcUnits): MachineTimes {
  return parseMachine(readFileSync('/proc/stat', 'utf8'), units)
}

/** `roots` and everything below them. */
export function treeOf(
  roots: readonly number[],
  processes: ReadonlyMap<number, ProcessTimes>
): readonly ProcessTimes[] {
  const children = new Map<number, number[]>()
  for (const { pid, parent } of processes.values()) {
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [pid])
    else siblings.push(pid)
  }
  const tree = new Map<number, ProcessTimes>()
  const open = [...roots]
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const times = processes.get(pid)
    if (times === undefined || tree.has(pid)) continue
    tree.set(pid, times)
    open.push(...(children.get(pid) ?? []))
  }
  return [...tree.values()]
}

/** CPU of the trees below `roots`. */
export function treeCpuMs(roots: readonly number[], processes: ReadonlyMap<number, ProcessTimes>): number {
  return treeOf(roots, processes).reduce((sum, { cpuMs }) => sum + cpuMs, 0)
}

/** Lets the most memory that a process has had at once be counted from now on. Throws when it does not run, or is another's. */
export function forgetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** The most memory that a process has had at once, in MiB; NaN when the kernel does not tell. Throws when it does not run. */
export function peakMemoryMiB(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}
