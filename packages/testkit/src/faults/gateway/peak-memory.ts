// The largest resident memory of a process that may be replaced while it is watched.
import { readFileSync } from 'node:fs'
import { systemClock } from '@millrace/kernel'

export interface MemoryWatch extends AsyncDisposable {
  peakBytes(): number
}

/** Looks at the process of `pid()` four times a second. */
export function watchMemory(pid: () => number | undefined): MemoryWatch {
  const stop = new AbortController()
  let peak = 0
  const watch = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      peak = Math.max(peak, peakOf(pid()))
      await systemClock.sleep(250, stop.signal).catch(() => {})
    }
  }
  const watching = watch()
  return {
    peakBytes: () => peak,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await watching
    }
  }
}

/** VmHWM of /proc (proc(5)): the kernel's own high-water mark. 0 for a process that is gone. */
function peakOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kib ?? 0) * 1024
  } catch {
    return 0
  }
}
