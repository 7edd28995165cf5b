// What a Redis failure means for the caller. A reply of the server is judged by its first word, the error code of the
// protocol; everything without a reply (timeout, closed socket, no connection) is a dependency in trouble.
import { AppError, toError } from '@millrace/kernel'

/** Codes of replies that a later attempt can turn into success. */
const transientReplies = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'FAILOVER',
  'LOADING',
  'MASTERDOWN',
  'MISCONF',
  'NOREPLICAS',
  'OOM',
  'READONLY',
  'TRYAGAIN',
  'UNBLOCKED',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
  'ASK',
  'MOVED',
  'NOSCRIPT'
])

/** The AppError for anything thrown by the Redis client while doing `what`; an AppError passes unchanged. */
export function toRedisError(thrown: unknown, what: string): AppError {
  if (thrown instanceof AppError) return thrown
  const error = toError(thrown)
  const reply = replyCode(error)
  const refused = reply === undefined ? isOurFault(error) : !transientReplies.has(reply)
  return new AppError(refused ? 'PIPE_REDIS_REFUSED' : 'PIPE_REDIS_UNAVAILABLE', `Redis: ${what}: ${error.message}`, {
    cause: error,
    details: reply === undefined ? {} : { reply }
  })
}

/** ioredis names the errors of replies ReplyError; the class itself is not exported for ESM. */
function replyCode(error: Error): string | undefined {
  if (error.name !== 'ReplyError') return undefined
  // A script that fails inside a call prefixes nothing since Redis 7; `-ERR` is the code of most mistakes.
  return /^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR'
}

function isOurFault(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError
}
