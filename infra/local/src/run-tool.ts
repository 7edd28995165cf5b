// Runs a helper program to its end while a part is prepared: Maven, Kafka's format tool, initdb.
import { spawn } from 'node:child_process'
import { AppError } from '@millrace/kernel'

export interface RunToolOptions {
  readonly signal: AbortSignal
  readonly cwd?: string
  /** Text for standard input; none by default. */
  readonly input?: string
}

/** Standard output and error of the program. Throws PIPE_STACK with its last lines unless it exits with 0. */
export function runTool(file: string, args: readonly string[], options: RunToolOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: options.cwd, signal: options.signal, stdio: ['pipe', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    child.once('error', (error) => {
      reject(new AppError('PIPE_STACK', `could not run ${file}: ${error.message}`, { cause: error }))
    })
    child.once('close', (code) => {
      const output = Buffer.concat(chunks).toString()
      if (code === 0) return resolve(output)
      const tail = output.trim().split('\n').slice(-8).join('\n')
      reject(new AppError('PIPE_STACK', `${file} ended with ${code ?? 'a signal'}:\n${tail}`))
    })
  })
}
