// One dead letter with everything that is stored about it: the bytes of the record and its original headers.
import { parseLetter } from '@millrace/consumer'
import { projectOfTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { readLetterRecords } from './letter-records.ts'
import { readLetters } from './letters.ts'
import type { FoundLetter, LettersDeps } from './letters.ts'

export interface ShownLetter extends FoundLetter {
  readonly key: string | undefined
  /** Text when the bytes are UTF-8, else base64; undefined when the bytes are not in the letter. */
  readonly value: string | undefined
  readonly encoding: 'utf8' | 'base64'
  /** Headers of the record that failed. */
  readonly headers: Readonly<Record<string, string>>
}

/** The letter `id` (`group:topic:partition:offset`). Throws PIPE_NOT_FOUND, and what `readLetters` throws. */
export async function showLetter(deps: LettersDeps, id: string): Promise<ShownLetter> {
  const projectId = projectOfTopic(id.split(':')[1] ?? '')
  const [found] = projectId === undefined ? [] : await readLetters(deps, { projectId, ids: new Set([id]) })
  let shown: ShownLetter | undefined
  await readLetterRecords(deps, found === undefined ? [] : [found], async ([first]) => {
    if (first === undefined) return
    const { letter, record } = first
    const text = record.value?.toString('utf8')
    const isText = text !== undefined && record.value?.equals(Buffer.from(text)) === true
    shown = {
      ...letter,
      key: record.key?.toString(),
      value: isText ? text : record.value?.toString('base64'),
      encoding: isText ? 'utf8' : 'base64',
      headers: Object.fromEntries(
        Object.entries(parseLetter(record)?.headers ?? {}).map(([name, bytes]) => [name, bytes.toString()])
      )
    }
  })
  if (shown === undefined) throw new AppError('PIPE_NOT_FOUND', `there is no letter '${id}'`)
  return shown
}
