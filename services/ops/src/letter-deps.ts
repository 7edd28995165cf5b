// What the procedures of dead letters need; the producer is opened by the first request that needs it.
import type { Kafka } from '@millrace/kafka'
import { later } from '@millrace/kernel'
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
  const open = later(() => kafka.producer())
  return async () => ({ ...rest, client: kafka.consumers, producer: await open(), maxLetters })
}
