// Rows as lines, checked on their way: what fails after the first rows is told by the engine as text among them.
import { Transform } from 'node:stream'
import { AppError } from '@millrace/kernel'

const newline = 0x0a
const brace = 0x7b

/**
 * Passes JSON objects, one on each line, as they are. Fails with PIPE_CLICKHOUSE_QUERY before a line that begins otherwise,
 * so that nobody takes what came before for the whole.
 */
export function createWholeLines(): Transform {
  let isStart = true
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      for (let from = 0; from < chunk.length;) {
        if (isStart && chunk[from] !== brace) {
          done(new AppError('PIPE_CLICKHOUSE_QUERY', 'the query failed after its first rows'))
          return
        }
        const end = chunk.indexOf(newline, from)
        isStart = end >= 0
        from = end < 0 ? chunk.length : end + 1
      }
      done(null, chunk)
    }
  })
}
