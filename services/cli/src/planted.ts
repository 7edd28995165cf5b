// A bug that can be switched on to see that the fault suites notice it; inert outside of tests.
import { redrivenFrom } from '@millrace/operations/letter-states'
import type { RedriveDeps } from '@millrace/operations/redrive-letters'
import { plantedBugs } from '@millrace/service'
import type { CliContext } from './context.ts'

/** Letters are sent without a word on where they were taken from, so that nobody knows which of them are on their way. */
const redriveForgets = 'cli-redrive-forgets'

/** The producer of redriven letters, with the bug if it is switched on. */
export function withPlantedRedrive(
  producer: RedriveDeps['producer'],
  { env }: Pick<CliContext, 'env'>
): RedriveDeps['producer'] {
  const planted = plantedBugs(env['MILLRACE_PLANTED_BUG'], env['MILLRACE_TEST'] === '1')
  if (!planted.has(redriveForgets)) return producer
  return {
    partitionCount: (topic) => producer.partitionCount(topic),
    produce: (topic, records) =>
      producer.produce(
        topic,
        records.map(({ headers, ...record }) => {
          const { [redrivenFrom]: _forgotten, ...kept } = headers ?? {}
          return { ...record, headers: kept }
        })
      )
  }
}
