// The thread that encodes: takes one message at a time, so ranges do not compete for memory. It holds no policy.
import { parentPort, workerData } from 'node:worker_threads'
import { toError } from '@millrace/kernel'
import type { EncoderOptions, Reply, Request } from './encoder.ts'
import { openSpool } from './spool.ts'
import type { Held, Spool, SpooledFile } from './spool.ts'

const options = workerData as EncoderOptions
const spools = new Map<number, Spool>()

parentPort?.on('message', (request: Request) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(answer(request))
})

function answer(request: Request): Reply {
  const { seq } = request
  try {
    return { seq, ok: true, value: run(request) }
  } catch (thrown) {
    const error = toError(thrown)
    const errno: unknown = Reflect.get(error, 'code')
    return {
      seq,
      ok: false,
      message: error.stack ?? error.message,
      errno: typeof errno === 'string' ? errno : undefined
    }
  }
}

function run(request: Request): Held | SpooledFile | undefined {
  const { spool: id } = request
  switch (request.kind) {
    case 'append': {
      let spool = spools.get(id)
      if (spool === undefined) {
        spool = openSpool({ ...options, ...request.log })
        spools.set(id, spool)
      }
      return spool.append(request.block)
    }
    case 'finish':
      return spools.get(id)?.finish()
    case 'drop':
      spools.get(id)?.drop()
      spools.delete(id)
      return undefined
  }
}
