// The encoding thread as the archiver sees it: files in the making by number. A thread that dies ends the process.
import { Worker } from 'node:worker_threads'
import { AppError } from '@millrace/kernel'
import type { Block } from './block.ts'
import type { Held, SpooledFile } from './spool.ts'

export interface EncoderOptions {
  /** Where files in the making lie. */
  readonly folder: string
  readonly groupRows: number
  readonly groupBytes: number
}

interface Log {
  readonly topic: string
  readonly partition: number
}

export type Request = { readonly seq: number; readonly spool: number } & (
  | { readonly kind: 'append'; readonly log: Log; readonly block: Block }
  | { readonly kind: 'finish' }
  | { readonly kind: 'drop' }
)

export type Reply =
  | { readonly seq: number; readonly ok: true; readonly value: Held | SpooledFile | undefined }
  | { readonly seq: number; readonly ok: false; readonly message: string; readonly errno: string | undefined }

/** Throws PIPE_SPOOL_UNAVAILABLE when the disk is full or broken; the file in the making is void then: drop it. */
export interface Encoder extends AsyncDisposable {
  /** Adds records to the file `spool`, which begins with its first; the block's memory is gone afterwards. */
  append(spool: number, log: Log, block: Block): Promise<Held>
  /** Completes the file; its descriptor stays open until `drop`. */
  finish(spool: number): Promise<SpooledFile>
  /** Forgets the file; one that is not there is fine. */
  drop(spool: number): Promise<void>
  /** Rejects when the thread died. */
  readonly done: Promise<never>
}

/**
 * The heap of the thread, MiB: a group of rows with their texts needs some 60. Left alone it would grow to several times
 * that before anything is collected, which is most of what a process with full ranges occupies.
 */
const memoryOfThread = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 }

/** Starts the thread. */
export function startEncoder(options: EncoderOptions): Encoder {
  const worker = new Worker(new URL('./encode-thread.ts', import.meta.url), {
    workerData: options,
    resourceLimits: memoryOfThread
  })
  const waiting = new Map<number, PromiseWithResolvers<Reply>>()
  const died = Promise.withResolvers<never>()
  died.promise.catch(() => {})
  let lastSeq = 0
  let closing = false
  worker.on('message', (reply: Reply) => {
    waiting.get(reply.seq)?.resolve(reply)
    waiting.delete(reply.seq)
  })
  // Racing each answer with `done` would keep every answer ever given: a promise holds its reactions until it settles.
  const die = (error: unknown): void => {
    died.reject(error)
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  worker.on('error', die)
  worker.on('exit', (code) => {
    if (!closing) die(new Error(`the encoding thread ended with ${code}`))
  })

  async function ask(request: WithoutSeq, transfer: ArrayBuffer[] = []): Promise<Held | SpooledFile | undefined> {
    const seq = ++lastSeq
    const answer = Promise.withResolvers<Reply>()
    waiting.set(seq, answer)
    worker.postMessage({ ...request, seq }, transfer)
    const reply = await answer.promise
    if (reply.ok) return reply.value
    // ENOSPC and its like; codes of Node itself begin with ERR_ and are bugs.
    if (reply.errno === undefined || reply.errno.startsWith('ERR_')) throw new Error(`encoding: ${reply.message}`)
    throw new AppError('PIPE_SPOOL_UNAVAILABLE', `files in the making: ${reply.message}`, {
      details: { errno: reply.errno }
    })
  }

  return {
    async append(spool, log, block) {
      const held = await ask({ kind: 'append', spool, log, block }, [block.content.buffer, block.appendedAtMs.buffer])
      if (held === undefined || !('memoryBytes' in held)) throw new Error('encoding: no answer to append')
      return held
    },
    async finish(spool) {
      const file = await ask({ kind: 'finish', spool })
      if (file === undefined || !('fd' in file)) throw new Error('encoding: nothing to finish')
      return file
    },
    async drop(spool) {
      await ask({ kind: 'drop', spool })
    },
    done: died.promise,
    async [Symbol.asyncDispose]() {
      closing = true
      await worker.terminate()
    }
  }
}

type WithoutSeq = Request extends infer R ? (R extends Request ? Omit<R, 'seq'> : never) : never
