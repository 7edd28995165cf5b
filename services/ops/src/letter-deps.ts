// What the procedures of dead letters need; the producer is opened by the first request that needs it.
import type { Kafka, Producer } from '@millrace/kafka'
import type { RedriveDeps } from '@millrace/operations/redrive-letters'

/** Some 50 MB; the tool of the command line has more memory. */
const maxLetters = 50_000

/** Opens what reading and redriving letters needs. What it opens is closed with `kafka`. */
export function createLetterDeps({
  kafka,
  ...rest
}: Omit<RedriveDeps, 'producer' | 'client'> & {
  readonly kafka: Pick<Kafka, 'producer' | 'consumers'>
}): () => Promise<RedriveDeps> {
  let opening: Promise<Producer> | undefined
  const open = (): Promise<Producer> => {
    if (opening === undefined) {
      opening = kafka.producer()
      // The next request tries again.
      opening.catch(() => {
        opening = undefined
      })
    }
    return opening
  }
  return async () => ({ ...rest, client: kafka.consumers, producer: await open(), maxLetters })
}
