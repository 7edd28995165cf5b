// A terminal that remembers, for tests of commands.
import type { Terminal } from './output.ts'

/** A Terminal without colours; `printed` and `errors` are everything written so far, one line feed per call. */
export function createMemoryTerminal(isTty = false): Terminal & { printed(): string; errors(): string } {
  const out: string[] = []
  const errors: string[] = []
  return {
    out: (text) => void out.push(`${text}\n`),
    write: (text) => void out.push(text),
    error: (text) => void errors.push(`${text}\n`),
    isTty,
    colour: false,
    columns: 80,
    printed: () => out.join(''),
    errors: () => errors.join('')
  }
}
