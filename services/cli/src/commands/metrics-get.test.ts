import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { createMemoryTerminal } from '../memory-terminal.ts'
import { createProgram } from '../program.ts'

/** What is thrown before anything is opened. */
async function thrownBy(...args: readonly string[]): Promise<unknown> {
  const program = createProgram({ terminal: createMemoryTerminal(), env: {}, clock: createManualClock() })
  return await program
    .parseAsync(['metrics', 'get', 'events', '--from', '1h', ...args], { from: 'user' })
    .catch((thrown: unknown) => thrown)
}

describe('metrics get', () => {
  it('shows each value or one of them, not both', async () => {
    expect(await thrownBy('--each', '--dimension', 'purchase')).toMatchObject({ code: 'commander.conflictingOption' })
  })

  it.each(['0', '201', '1.5', 'all'])('shows 1 to 200 values, not %s', async (top) => {
    expect(await thrownBy('--each', '--top', top)).toMatchObject({ message: `--top is 1 to 200, not '${top}'` })
  })
})
