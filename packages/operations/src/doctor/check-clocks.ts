// The clocks of stores and brokers against ours: windows, leases and lateness compare times that different machines took.
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import { findingsOf } from './finding.ts'
import type { Finding } from './finding.ts'

export interface ClockCheckDeps {
  readonly clock: Clock
  /** What each store says the time is, in ms since 1970. */
  readonly clocks: readonly { readonly name: string; readonly now: () => Promise<number> }[]
  readonly admin: Pick<Admin, 'listTopics' | 'offsetsAt' | 'ranges'>
  /** Projects; the newest records of their logs tell the clock of the brokers. */
  readonly projects: () => Promise<readonly string[]>
}

/** Logs whose newest records are looked at. */
const mostLogs = 10
const warnMs = 1_000
/** CLOCK_MARGIN_MS of the aggregator: beyond it closed windows may open again. */
const failMs = 5_000

/** Compares every clock; half of the time of a question is the most that it can be wrong by. Throws what a store throws. */
export async function checkClocks({ clock, clocks, admin, projects }: ClockCheckDeps): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { name, now } of clocks) {
    const before = clock.now()
    const theirs = await now()
    const after = clock.now()
    const skewMs = theirs - (before + after) / 2
    findings.push(judge(name, Math.sign(skewMs) * Math.max(0, Math.abs(skewMs) - (after - before) / 2)))
  }
  const there = new Set(await admin.listTopics())
  const logs = (await projects()).map(rawTopic).filter((topic) => there.has(topic))
  for (const topic of logs.slice(0, mostLogs)) {
    const aheadMs = await brokersAhead(admin, topic, clock.now())
    if (aheadMs > 0) findings.push(judge(`brokers of ${topic}`, aheadMs))
  }
  return findings
}

function judge(name: string, skewMs: number): Finding {
  const found = findingsOf('clocks')
  const size = Math.abs(skewMs)
  const detail = `${(size / 1_000).toFixed(1)} s ${skewMs < 0 ? 'behind' : 'ahead of'} this machine`
  const fix = 'NTP (chrony) on both machines; every service compares times of several'
  if (size >= failMs) return found.failure(name, detail, fix)
  return size >= warnMs ? found.warning(name, detail, fix) : found.ok(name, 'within a second of this machine')
}

/** A record that was appended in the future was appended by a clock that is ahead: by how much at least, in steps. */
async function brokersAhead(admin: ClockCheckDeps['admin'], topic: string, nowMs: number): Promise<number> {
  const ranges = await admin.ranges(topic)
  for (const aheadMs of [failMs, warnMs]) {
    const offsets = await admin.offsetsAt(topic, nowMs + aheadMs)
    if (ranges.some(({ partition, end }) => (offsets.get(partition) ?? end) < end)) return aheadMs
  }
  return 0
}
