// What the procedures of dead letters need.
import { enrichFields, postgresDirectFields, postgresFields } from '@millrace/config'
import type { RedriveDeps } from '@millrace/operations/redrive-letters'
import { createRedriveLock } from '@millrace/operations/redrive-lock'
import { openEnrich } from '@millrace/stores/country-database'
import { openCluster, openDatabase } from './connections.ts'
import { settings } from './context.ts'
import type { CliContext } from './context.ts'
import { actorOf } from './identity.ts'

/** Opens what reading and redriving letters needs; it lives as long as `stack`. */
export async function openLetterDeps(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<RedriveDeps> {
  const kafka = await openCluster(context, dataDir, stack)
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
