// How far a project's log is applied, for cases that hurt something in the middle of it.
import { readFile } from 'node:fs/promises'
import { eventually } from '../../eventually.ts'
import type { StreamProject } from './stream-project.ts'
import type { StreamRig } from './rig.ts'

/** The sum of the positions of all partitions; 0 without a live epoch. */
export async function positionOf(rig: StreamRig, project: StreamProject): Promise<bigint> {
  const live = await rig.live(project)
  return (live?.partitions ?? []).reduce((sum, { position }) => sum + position, 0n)
}

/** Resolves when `share` of the log that is there now is applied. */
export async function untilShare(rig: StreamRig, project: StreamProject, share: number): Promise<void> {
  const ranges = await rig.admin.ranges(project.topic)
  const records = ranges.reduce((sum, { end }) => sum + Number(end), 0)
  const wanted = BigInt(Math.floor(records * share))
  await eventually(
    `${share * 100} % of ${project.topic} are applied`,
    async () => (await positionOf(rig, project)) >= wanted,
    { timeoutMs: 60_000, intervalMs: 20 }
  )
}

/** Resolves when the log of a service says `text`. */
export async function untilLogged(
  service: { readonly logFile: string; readonly name: string },
  text: string,
  timeoutMs = 60_000
): Promise<void> {
  await eventually(
    `${service.name} to log '${text}'`,
    async () => (await readFile(service.logFile, 'utf8')).includes(text),
    { timeoutMs, intervalMs: 50 }
  )
}
