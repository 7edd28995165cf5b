// What the procedures of dead letters need.
import { enrichFields, kafkaFields } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import type { RedriveDeps } from '@millrace/operations/redrive-letters'
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
  return {
    admin: await kafka.admin(),
    client: kafka.consumers,
    producer: stack.use(await kafka.producer()),
    postgres: await openDatabase(context, dataDir, stack),
    enrich: await openEnrich(settings(context, dataDir, enrichFields)),
    clock: context.clock,
    actor: actorOf(),
    countingGroups: ['aggregate'],
    loadingGroups: ['load'],
    recordingGroups: ['record']
  }
}
