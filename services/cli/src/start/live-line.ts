// The last line of a terminal, rewritten in place, with messages scrolling above it. Without a terminal every line is
// an ordinary one.
import type { Terminal } from '../output.ts'

export interface LiveLine {
  /** Replaces the live line. */
  update(text: string): void
  /** Prints a line above the live one. */
  message(text: string): void
  /** Leaves the live line as it is and goes to the next line. */
  end(): void
}

const clear = '\r\u001b[2K'

/** A live line at the bottom of `terminal`. */
export function createLiveLine(terminal: Terminal): LiveLine {
  let line = ''
  // A line as wide as the terminal would wrap, and only its last part would be replaced.
  const draw = (): void => terminal.write(clear + line.slice(0, terminal.columns - 1))
  return {
    update(text) {
      if (!terminal.isTty) return terminal.out(text)
      line = text
      draw()
    },
    message(text) {
      if (line === '') return terminal.out(text)
      terminal.write(clear)
      terminal.out(text)
      draw()
    },
    end() {
      if (line !== '') terminal.write('\n')
      line = ''
    }
  }
}
