// The administration token: one secret of the deployment, for people and tools that look after it.
import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether the Authorization header carries `token`, in time that does not depend on where they differ. */
export function isAdmin(authorization: string | undefined, token: string): boolean {
  const prefix = 'bearer '
  const given = authorization ?? ''
  const isBearer = given.slice(0, prefix.length).toLowerCase() === prefix
  // Digests have one length, which the comparison needs, and nobody learns the length of the token by it.
  const same = timingSafeEqual(digest(given.slice(prefix.length).trim()), digest(token))
  return same && isBearer && token !== ''
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
