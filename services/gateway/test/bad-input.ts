// Reads the corpus of bodies that are not events. In a repeated text `#` stands for the number of the repetition.
import corpus from './fixtures/bad-input.json' with { type: 'json' }

/** One body and the answer it must get. A pointer of null: the answer has none. */
export interface BadInput {
  readonly name: string
  readonly body: Buffer
  readonly status: number
  readonly code: string
  readonly pointer: string | null
}

interface Repeated {
  readonly repeat: string
  readonly times: number
}
/** A piece of a body. */
export type Part = { readonly text: string } | { readonly base64: string } | Repeated

/** Every case of the corpus. */
export const badInputs: readonly BadInput[] = corpus.cases.map(({ name, parts, status, code, pointer }) => ({
  name,
  // JSON types are unions of all members; each part has exactly one of the three forms.
  body: Buffer.concat((parts as readonly Part[]).map(toBytes)),
  status,
  code,
  pointer: pointer === null || typeof pointer === 'string' ? pointer : pointer.before + repeated(pointer)
}))

/** The bytes of a piece. */
export function toBytes(part: Part): Buffer {
  if ('text' in part) return Buffer.from(part.text)
  if ('base64' in part) return Buffer.from(part.base64, 'base64')
  return Buffer.from(repeated(part))
}

function repeated({ repeat, times }: Repeated): string {
  if (!repeat.includes('#')) return repeat.repeat(times)
  return Array.from({ length: times }, (_, index) => repeat.replace('#', String(index))).join('')
}
