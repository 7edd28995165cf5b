// Settings of the comparison of log and sinks.
import { liveStateFields, ms } from '@millrace/config'

export const reconcileFields = {
  LATENESS_MS: liveStateFields.LATENESS_MS,
  RECONCILE_EVERY_MS: ms({
    doc: 'How often the log is compared with the warehouse, the dead letters and the closed live hours; 0 = never.',
    default: 3_600_000,
    min: 0,
    max: 86_400_000
  }),
  RECONCILE_RANGE_MS: ms({
    doc: 'How far back each comparison reaches; more than two hours and RECONCILE_EVERY_MS, so that no closed hour is left out.',
    default: 4 * 3_600_000,
    min: 60_000,
    max: 7 * 86_400_000
  })
}
