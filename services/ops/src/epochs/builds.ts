// Builds of the live state that were asked for over HTTP: begun while somebody waits, filled and put in force behind the
// answer. One at a time: a build reads a log with all its might. One that ends with its process is a row that says
// `building`, which can be gone on with or given up; the epoch in force knows nothing of it.
import { AppError, toError } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { epochStatus } from '@millrace/operations/epoch-status'
import type { ShownEpoch } from '@millrace/operations/epoch-status'
import { fillAndFlip } from '@millrace/operations/flip-epoch'
import type { BuildDeps, BuildProgress } from '@millrace/operations/flip-epoch'
import { abortBuild, openBuild } from '@millrace/operations/rebuild'
import type { EpochAdmin } from '@millrace/operations/rebuild'
import { beginEpochReplay, planEpochReplay } from '@millrace/operations/replay-epoch'
import type { EpochPlan } from '@millrace/operations/replay-epoch'
import type { GroupPlan, ReplayRequest } from '@millrace/operations/replay-plan'
import type { StateEpoch } from '@millrace/operations/state-epochs'

export interface EpochBuildsDeps {
  readonly admin: EpochAdmin
  /** Opens what filling needs; called for every build. */
  readonly open: () => Promise<BuildDeps>
  readonly log: Pick<Logger, 'info' | 'error'>
  /** Aborts when the process stops. */
  readonly signal: AbortSignal
  /** Replaced by tests. */
  readonly fill?: typeof fillAndFlip
}

/** A build as this process knows it. */
export interface BuildView {
  readonly projectId: string
  readonly epoch: number
  readonly state: 'building' | 'in-force' | 'given-up' | 'interrupted'
  readonly step: BuildProgress['step'] | undefined
  readonly records: bigint | undefined
  readonly remaining: bigint | undefined
  /** Why it was interrupted. */
  readonly problem: string | undefined
}

export interface EpochBuilds extends AsyncDisposable {
  plan(plan: GroupPlan, request: Pick<ReplayRequest, 'from' | 'limit'>): Promise<EpochPlan>
  /** Throws as `beginEpochReplay`, and PIPE_CONFLICT while this process builds another one. */
  begin(plan: EpochPlan, reason: string): Promise<BuildView>
  /** Goes on with the build of a project that was interrupted. Throws PIPE_NOT_FOUND, and PIPE_CONFLICT as `begin`. */
  resume(projectId: string): Promise<BuildView>
  /** Throws PIPE_NOT_FOUND, PIPE_CONFLICT. */
  abort(projectId: string): Promise<BuildView>
  /** The last build of a project that this process had. */
  last(projectId: string): BuildView | undefined
  /** The epochs of a project by number. Throws PIPE_NOT_FOUND. */
  epochs(projectId: string): Promise<readonly ShownEpoch[]>
}

interface Running {
  readonly projectId: string
  readonly ending: AbortController
  /** Resolves when it ended, however. */
  over: Promise<void>
}

const unread = { step: undefined, records: undefined, remaining: undefined, problem: undefined }

/** Creates the builder; disposing it waits for the build in hand to stop. */
export function createEpochBuilds(deps: EpochBuildsDeps): EpochBuilds {
  const { admin, open, log, signal, fill = fillAndFlip } = deps
  const views = new Map<string, BuildView>()
  let running: Running | undefined
  const change = (projectId: string, changes: Partial<BuildView>): void => {
    const view = views.get(projectId)
    if (view !== undefined) views.set(projectId, { ...view, ...changes })
  }

  /** `begin` under the place of the one build, which is free again when it fails. */
  async function start(projectId: string, begin: () => Promise<StateEpoch>): Promise<BuildView> {
    if (running !== undefined)
      throw new AppError('PIPE_CONFLICT', `the live state of '${running.projectId}' is being built here; one at a time`)
    const mine: Running = { projectId, ending: new AbortController(), over: Promise.resolve() }
    running = mine
    try {
      const row = await begin()
      const view: BuildView = { ...unread, projectId, epoch: row.epoch, state: 'building' }
      views.set(projectId, view)
      mine.over = build(mine, row)
      return view
    } catch (error) {
      running = undefined
      throw error
    }
  }

  async function build({ projectId, ending }: Running, row: StateEpoch): Promise<void> {
    try {
      const opened = await open()
      const flipped = await fill(
        {
          ...opened,
          signal: AbortSignal.any([signal, ending.signal]),
          onProgress: ({ step, records, remaining }) => change(projectId, { step, records, remaining })
        },
        row
      )
      log.info({ project: projectId, epoch: row.epoch, sealedMs: flipped.sealedMs }, 'a new epoch is in force')
      change(projectId, { state: 'in-force' })
    } catch (error) {
      const isGivenUp = ending.signal.aborted
      if (!isGivenUp) log.error({ project: projectId, epoch: row.epoch, err: toError(error) }, 'the build ended')
      change(projectId, isGivenUp ? { state: 'given-up' } : { state: 'interrupted', problem: toError(error).message })
    } finally {
      running = undefined
    }
  }

  return {
    plan: (plan, request) => planEpochReplay(admin, plan, request),
    begin: (plan, reason) => start(plan.projectId, () => beginEpochReplay(admin, plan, reason)),
    resume: (projectId) => start(projectId, () => openBuild(admin, projectId)),
    async abort(projectId) {
      const { epoch } = await abortBuild(admin, projectId)
      if (running?.projectId === projectId) {
        running.ending.abort(new Error('given up'))
        await running.over
      }
      const view: BuildView = { ...unread, projectId, epoch, state: 'given-up' }
      views.set(projectId, view)
      return view
    },
    last: (projectId) => views.get(projectId),
    epochs: (projectId) => epochStatus(admin, projectId),
    async [Symbol.asyncDispose]() {
      running?.ending.abort(new Error('the process stops'))
      await running?.over
    }
  }
}
