// Two archivers own every partition at once, and one of them freezes now and then in the middle of storing a file, so that
// it wakes up with a range that the other one has archived long ago.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { openArchiveRig } from './rig.ts'
import type { ArchiveRig } from './rig.ts'

/** The bug that takes the compare-and-set away; the second lock of the table goes with it. */
export const headWithoutCompare = 'archive.head-without-compare'

export const twoOwners: FaultCase = {
  name: 'two-owners',
  title: 'two owners of every partition, one of them frozen by SIGSTOP while it stores, under load',
  counters: ['files of the first', 'files of the second', 'claim that came too late', 'frozen'],
  async run(context) {
    const { counters, planted, seed } = context
    const random = createRandom(`owners-${seed}`)
    await using rig = await openArchiveRig(context)
    if (planted === headWithoutCompare) await takeSecondLockAway(rig)
    const first = await rig.startArchiver()
    const second = await rig.startArchiver({ env: { MILLRACE_FAULTS: 'archiver.after-put:delay:150' } })
    for (let freeze = 0; freeze < 4; freeze++) {
      await rig.moves(300 + random.below(500))
      for (const archiver of [second, first]) {
        archiver.kill('SIGSTOP')
        counters.count('frozen')
        await systemClock.sleep(500 + random.below(1_000))
        archiver.kill('SIGCONT')
      }
    }
    await rig.moves(500)
    const files = (outcome: string, archiver: typeof first): Promise<number> =>
      rig.metric(archiver, 'analytics_archive_files_total', `{outcome="${outcome}"}`)
    await eventually(
      'both to answer',
      async () => (await files('claimed', second)) > 0 && (await files('claimed', first)) > 0,
      {
        timeoutMs: 30_000
      }
    )
    counters.count('files of the first', await files('claimed', first))
    counters.count('files of the second', await files('claimed', second))
    if (planted === undefined)
      counters.count('claim that came too late', (await files('moved', first)) + (await files('moved', second)))
    return await rig.judge({ timeoutMs: planted === undefined ? 60_000 : 15_000 })
  }
}

async function takeSecondLockAway({ postgres }: ArchiveRig): Promise<void> {
  await postgres.query('ALTER TABLE archive_files DROP CONSTRAINT IF EXISTS archive_files_no_overlap')
  await postgres.query('ALTER TABLE archive_files DROP CONSTRAINT IF EXISTS archive_files_pkey')
}
