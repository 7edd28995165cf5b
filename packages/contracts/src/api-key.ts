// API keys: `mr_<w|s>_<8 id><32 secret><6 checksum>`. The id finds the key, the secret proves it, and the checksum tells
// a mistyped key (and a leaked one in a text) without asking the store. Only an HMAC of the secret is ever stored.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** `write` keys may only ingest; `secret` keys may read and ingest. */
export type ApiKeyKind = 'write' | 'secret'

export interface ParsedApiKey {
  readonly kind: ApiKeyKind
  /** Public part, 8 characters; the key of the store. */
  readonly id: string
  /** 32 characters, 190 bits. */
  readonly secret: string
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const shape = /^mr_([ws])_([0-9A-Za-z]{8})([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/

/** A new key and its parts. `random(n)` gives n unpredictable bytes. */
export function generateApiKey(
  kind: ApiKeyKind,
  random: (bytes: number) => Buffer = randomBytes
): ParsedApiKey & { readonly key: string } {
  const id = base62(8, random)
  const secret = base62(32, random)
  const body = `mr_${kind === 'write' ? 'w' : 's'}_${id}${secret}`
  return { kind, id, secret, key: body + checksum(body) }
}

/** The parts of `text`, or undefined when its form or its checksum is wrong. */
export function parseApiKey(text: string): ParsedApiKey | undefined {
  const match = shape.exec(text)
  const [, kind, id, secret, sum] = match ?? []
  if (kind === undefined || id === undefined || secret === undefined || sum === undefined) return undefined
  if (checksum(text.slice(0, -6)) !== sum) return undefined
  return { kind: kind === 'w' ? 'write' : 'secret', id, secret }
}

/** What the store keeps of a secret: HMAC-SHA-256 under `pepper`, 32 bytes. */
export function digestSecret(pepper: string, secret: string): Buffer {
  return createHmac('sha256', pepper).update(secret).digest()
}

/** Whether two digests are equal, in time that does not depend on where they differ. */
export function sameDigest(left: Buffer, right: Buffer): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right)
}

/** `text` with the secret part of everything that looks like a key replaced. */
export function redactApiKeys(text: string): string {
  return text.replaceAll(/mr_([ws])_([0-9A-Za-z]{8})[0-9A-Za-z]+/g, 'mr_$1_$2...')
}

/** Characters without bias: bytes from 248 on, which would favour the first letters, are drawn again. */
function base62(length: number, random: (bytes: number) => Buffer): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random(length)) {
      if (byte < 248 && text.length < length) text += alphabet[byte % 62]
    }
  }
  return text
}

function checksum(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let place = 0; place < 6; place++) {
    text = `${alphabet[rest % 62]}${text}`
    rest = Math.floor(rest / 62)
  }
  return text
}
