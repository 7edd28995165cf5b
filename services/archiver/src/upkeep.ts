// What the archiver does beside records: ranges that are due by age are closed, and objects that never became part of
// the archive are removed.
import type { Clock } from '@millrace/kernel'
import type { Commit } from '@millrace/kafka'
import { archivePrefix, parseArchiveKey } from '@millrace/stores/archive-key'
import type { NamedRange } from '@millrace/stores/archive-key'
import type { ArchivedLog, ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ObjectStore } from '@millrace/stores/object-store'
import type { Archive } from './archive.ts'

export interface ClosingDeps {
  readonly archive: Pick<Archive, 'closeDue'>
  readonly readOn: (to: readonly Commit[]) => void
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly everyMs: number
  /** Wait after a failure. */
  readonly retryMs: number
  readonly onFailure: (error: unknown) => void
}

/** Looks for ranges that are due until `signal` aborts; what failed is tried again. Rejects only for a bug. */
export async function keepClosing(deps: ClosingDeps): Promise<void> {
  const { archive, readOn, clock, signal, everyMs, retryMs, onFailure } = deps
  while (!signal.aborted) {
    const { readOn: positions, failure } = await archive.closeDue(signal)
    if (positions.length > 0) readOn(positions)
    if (failure !== undefined) onFailure(failure)
    await clock.sleep(failure === undefined ? everyMs : retryMs, signal).catch(() => {})
  }
}

export interface OrphanDeps {
  readonly objects: Pick<ObjectStore, 'list' | 'remove'>
  readonly manifest: Pick<ArchiveManifest, 'allHeads' | 'files' | 'holes'>
  readonly clock: Clock
  /** Younger objects stay. */
  readonly keptMs: number
}

/**
 * Removes files that can never become part of the archive; resolves with how many. Such a file begins before the head of
 * its epoch, which never goes back, and another one is in the manifest in its place. Everything else stays: what the
 * archiver did not write, and what holds records that the archive lacks, as after a restore of an older manifest. Throws PIPE_OBJECTS_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE.
 */
export async function removeOrphans({ objects, manifest, clock, keptMs }: OrphanDeps): Promise<number> {
  const positions = new Map((await manifest.allHeads({})).map((head) => [logKey(head), head.position]))
  let log = ''
  let live = new Set<string>()
  let removed = 0
  for await (const { key, modifiedAtMs } of objects.list(archivePrefix)) {
    const range = parseArchiveKey(key)
    if (range === undefined || clock.now() - modifiedAtMs < keptMs) continue
    const position = positions.get(logKey(range))
    if (position === undefined || range.first >= position) continue
    if (log !== logKey(range)) {
      // Stores list the files of one log together.
      const { topic, partition, epoch } = range
      live = new Set((await manifest.files({ topic, partition, epoch })).map((file) => file.key))
      log = logKey(range)
    }
    if (live.has(key) || (await holdsLost(manifest, range))) continue
    await objects.remove(key)
    removed++
  }
  return removed
}

function logKey({ topic, partition, epoch }: ArchivedLog): string {
  return `${topic}:${partition}:${epoch}`
}

/** Whether some offset of `range` was gone from the log before the archive that counts had it. */
async function holdsLost(manifest: Pick<ArchiveManifest, 'holes'>, range: NamedRange): Promise<boolean> {
  const holes = await manifest.holes(range)
  return holes.some(({ first, last, reason }) => reason === 'expired' && first <= range.last && last >= range.first)
}

export interface OrphanUpkeep extends OrphanDeps {
  readonly signal: AbortSignal
  readonly everyMs: number
  readonly onRemoved: (count: number) => void
  readonly onFailure: (error: unknown) => void
}

/** Removes orphans now and then until `signal` aborts. Never throws. */
export async function keepRemoving(deps: OrphanUpkeep): Promise<void> {
  const { clock, signal, everyMs, onRemoved, onFailure } = deps
  while (!signal.aborted) {
    try {
      onRemoved(await removeOrphans(deps))
    } catch (error) {
      onFailure(error)
    }
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}
