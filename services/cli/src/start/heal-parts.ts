// Brings a part of the stack back that died: a killed broker or database is started again on its port and its data.
import { backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { PartName } from '@millrace/local-stack/part'
import type { Stack } from '@millrace/local-stack/stack'

/** Restarts parts; disposing it waits for the restart that runs and begins no other. */
export interface PartHealer extends AsyncDisposable {
  /** Tells that a part ended unasked; `how` is its exit code or signal. */
  ended(name: PartName, how: string): void
}

const policy: BackoffPolicy = { baseMs: 500, capMs: 10_000, jitter: 0 }

/** A healer for `stack`; `say` is told one line per event. */
export function healParts(options: {
  readonly stack: () => Pick<Stack, 'restart'> | undefined
  readonly clock: Clock
  readonly say: (line: string) => void
}): PartHealer {
  const { stack, clock, say } = options
  const stop = new AbortController()
  const running = new Map<PartName, Promise<void>>()

  const heal = async (name: PartName): Promise<void> => {
    for (let attempt = 1; !stop.signal.aborted; attempt++) {
      await clock.sleep(backoffMs(policy, attempt), stop.signal).catch(() => {})
      if (stop.signal.aborted) return
      try {
        await stack()?.restart(name)
        return say(`${name} runs again`)
      } catch (error) {
        const [line = ''] = String(error instanceof Error ? error.message : error).split('\n')
        say(`${name} did not start again: ${line}`)
      }
    }
  }

  return {
    ended(name, how) {
      if (stop.signal.aborted || running.has(name)) return
      say(`${name} ended (${how}); starting it again`)
      running.set(
        name,
        heal(name).finally(() => running.delete(name))
      )
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(running.values())
    }
  }
}
