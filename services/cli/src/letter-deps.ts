// What the procedures of dead letters need.
import { enrichFields, kafkaFields, postgresDirectFields, postgresFields } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import type { RedriveDeps } from '@millrace/operations/redrive-letters'
import { createRedriveLock } from '@millrace/operations/redrive-lock'
import { openEnrich } from '@millrace/stores/country-database'
import { openDatabase } from './connections.ts'
import { settings } from './context.ts'
import type { CliContext } from './context.ts'
import { actorOf } from './identity.ts'

/** Opens what reading and redriving letters needs; it lives as long as `stack`. */
export async function openLetterDeps(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<RedriveDeps> {
  const kafka = stack.use(await openKafka(settings(context, dataDir, kafkaFields), { log: createSilentLogger() }))
  const { DATABASE_URL, DATABASE_DIRECT_URL } = settings(context, dataDir, {
    ...postgresFields,
    ...postgresDirectFields
  })
  return {
    admin: await kafka.admin(),
    client: kafka.consumers,
    producer: stack.use(await kafka.producer()),
    postgres: await openDatabase(context, dataDir, stack),
    lock: createRedriveLock(DATABASE_DIRECT_URL || DATABASE_URL),
    enrich: await openEnrich(settings(context, dataDir, enrichFields)),
    clock: context.clock,
    actor: actorOf(),
    countingGroups: ['aggregate'],
    loadingGroups: ['load'],
    recordingGroups: ['record']
  }
}
