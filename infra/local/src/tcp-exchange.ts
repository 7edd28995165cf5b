// One question over TCP and the start of its answer, for readiness checks in a part's own protocol.
import { connect } from 'node:net'
import { AppError, systemClock } from '@millrace/kernel'

const answerTimeoutMs = 2_000

/**
 * Sends `question` to 127.0.0.1:`port` and resolves with the answer when `complete` accepts what has come so far.
 * Rejects with PIPE_STACK when the connection fails, ends early, or 2 s pass.
 */
export function tcpExchange(port: number, question: Buffer, complete: (answer: Buffer) => boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let answer = Buffer.alloc(0)
    const settle = (act: () => void): void => {
      timer[Symbol.dispose]()
      socket.destroy()
      act()
    }
    const fail = (why: string): void => settle(() => reject(new AppError('PIPE_STACK', `port ${port}: ${why}`)))
    const timer = systemClock.timer(answerTimeoutMs, () => fail('no answer'))
    socket.on('connect', () => socket.write(question))
    socket.on('error', (error) => fail(error.message))
    socket.on('end', () => fail('closed without an answer'))
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      if (complete(answer)) settle(() => resolve(answer))
    })
  })
}
