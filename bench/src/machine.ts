// Where and with what a result was measured. Nothing here names the machine or its owner.
import { execFileSync } from 'node:child_process'
import { arch, cpus, loadavg, release, totalmem } from 'node:os'

export interface Environment {
  readonly date: string
  readonly commit: string
  /** Whether tracked files differed from the commit. */
  readonly dirty: boolean
  readonly cpu: string
  readonly cpus: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly arch: string
  readonly node: string
  readonly loadBefore: readonly number[]
}

/** Describes this machine and this working tree; `now` is in epoch milliseconds. */
export function readEnvironment(now: number): Environment {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
  const processors = cpus()
  return {
    date: new Date(now).toISOString(),
    commit: git('rev-parse', '--short=12', 'HEAD'),
    // Results of the suites before this one are no change of what is measured.
    dirty: git('status', '--porcelain', '--untracked-files=no', '--', ':!bench/results') !== '',
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpus: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: /^[\d.]+/.exec(release())?.[0] ?? 'unknown',
    arch: arch(),
    node: process.version,
    loadBefore: loadavg().map((load) => Math.round(load * 100) / 100)
  }
}
