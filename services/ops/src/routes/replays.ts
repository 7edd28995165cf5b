// Replays: what one would do, beginning, going on, ending, and how far each is.
import { AppError } from '@millrace/kernel'
import { abortReplay, resumeReplay, startReplay } from '@millrace/operations/replay'
import type { ReplayDeps } from '@millrace/operations/replay'
import type { EpochPlan } from '@millrace/operations/replay-epoch'
import { replayStatus } from '@millrace/operations/replay-orders'
import { planReplay, replayKinds } from '@millrace/operations/replay-plan'
import type { GroupPlan, PlanDeps, ReplayEdge, ReplayKind } from '@millrace/operations/replay-plan'
import { findReplay, listReplays } from '@millrace/operations/replay-rows'
import { route } from '../route.ts'
import type { Members, OpsRoute } from '../route.ts'
import { flag, projectParams, text, whole } from '../rules.ts'
import type { EpochRouteDeps } from './epochs.ts'

export interface ReplayRouteDeps extends EpochRouteDeps {
  readonly replays: ReplayDeps & PlanDeps
}

interface Edge {
  readonly time?: string
  readonly offset?: string
  readonly offsets?: Readonly<Record<string, string>>
}

interface Wanted {
  readonly kind: ReplayKind
  readonly group?: string
  readonly from?: Edge
  readonly to?: Edge
  readonly inPlace: boolean
  readonly limit: number
}

interface Start extends Wanted {
  readonly perSecond?: number
  readonly reason: string
}

type Place = { readonly projectId: string }

const offsetRule = { type: 'string', pattern: '^\\d{1,18}$' }
const edge = (description: string): object => ({
  type: 'object',
  additionalProperties: false,
  maxProperties: 1,
  description,
  properties: {
    time: { type: 'string', format: 'date-time', description: 'By the time at which the broker stored a record.' },
    offset: { ...offsetRule, description: 'Of every partition.' },
    offsets: { type: 'object', additionalProperties: offsetRule, description: 'By partition; others are not read.' }
  }
})

const wanted: Members = {
  properties: {
    kind: { type: 'string', enum: [...replayKinds], description: 'Whose worker reads again.', examples: ['load'] },
    group: text('Its consumer group when it has another name than the kind.'),
    from: {
      ...edge('Where to begin; absent: all that the log has.'),
      examples: [{ time: '2026-01-31T10:00:00Z' }]
    },
    to: { ...edge('Where to end; absent: where the group is.') },
    inPlace: flag('Move the group itself back: live events wait until it has come forward again.'),
    limit: whole('More records are refused.', 1, 1_000_000_000_000, 10_000_000)
  },
  required: ['kind']
}

const replayParams: Members = { properties: { replayId: text('Its number.', { pattern: '^\\d{1,18}$' }) } }

/** Plan, start, list, show, resume and abort replays. */
export function createReplayRoutes(deps: ReplayRouteDeps): readonly OpsRoute[] {
  const { replays, epochBuilds } = deps
  return [
    route<{ params: Place; body: Wanted }>({
      method: 'POST',
      path: '/v1/projects/:projectId/replays/plan',
      summary: 'What a replay would read, what follows, and what stands against it',
      params: projectParams,
      body: wanted,
      reply: { status: 200, description: 'The parts with both ends; `refusals` is empty when it may begin.' },
      problems: ['not_found'],
      handle: async ({ params, body }) => await planOf(deps, params, body)
    }),
    route<{ params: Place; body: Start }>({
      method: 'POST',
      path: '/v1/projects/:projectId/replays',
      summary: 'Read a part of the log again',
      description:
        'One at a time for a group. Live events go on meanwhile unless `inPlace` is said. For `aggregate` a new epoch of the live ' +
        'state is built beside the one in force and takes its place: see the epochs of the project.',
      params: projectParams,
      body: {
        ...wanted,
        properties: {
          ...wanted.properties,
          perSecond: { type: 'integer', minimum: 1, maximum: 100_000_000, description: 'Records a second at most.' },
          reason: text('Why, for the audit log.', { default: 'not given' })
        }
      },
      reply: { status: 201, description: 'The replay, which workers read from now on; for `aggregate` the build.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params, body }) => {
        const { perSecond, reason } = body
        if (body.kind === 'aggregate' && perSecond !== undefined)
          throw new AppError('PIPE_INVALID_INPUT', 'a new epoch of the live state is built without a rate')
        const plan = await planOf(deps, params, body)
        if ('wholeFromMs' in plan) return await epochBuilds.begin(plan, reason)
        return await replayStatus(replays, await startReplay(replays, plan, { mode: plan.mode, perSecond, reason }))
      }
    }),
    route<{ query: { limit: number } }>({
      method: 'GET',
      path: '/v1/replays',
      summary: 'Replays that are under way, and the last ones',
      query: { properties: { limit: whole('Replays at most.', 1, 1_000, 50) } },
      reply: { status: 200, description: 'The newest first, with their progress.' },
      handle: async ({ query: { limit } }) => {
        const found = await listReplays(replays.postgres, limit)
        return { replays: await Promise.all(found.map((replay) => replayStatus(replays, replay))) }
      }
    }),
    route<{ params: { replayId: string } }>({
      method: 'GET',
      path: '/v1/replays/:replayId',
      summary: 'One replay',
      params: replayParams,
      reply: { status: 200, description: 'The replay with its progress.' },
      problems: ['not_found'],
      handle: async ({ params: { replayId } }) =>
        await replayStatus(replays, await findReplay(replays.postgres, replayId))
    }),
    route<{ params: { replayId: string } }>({
      method: 'POST',
      path: '/v1/replays/:replayId/resume',
      summary: 'Go on with a replay whose beginning ended in between',
      params: replayParams,
      reply: { status: 200, description: 'The replay; workers read it from now on.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params: { replayId } }) => await replayStatus(replays, await resumeReplay(replays, replayId))
    }),
    route<{ params: { replayId: string } }>({
      method: 'POST',
      path: '/v1/replays/:replayId/abort',
      summary: 'End a replay',
      description: 'A group that was moved back in place is put back to where it stood.',
      params: replayParams,
      reply: { status: 200, description: 'The replay as it ended.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params: { replayId } }) => await replayStatus(replays, await abortReplay(replays, replayId))
    })
  ]
}

async function planOf(
  { replays, epochBuilds }: ReplayRouteDeps,
  { projectId }: Place,
  body: Wanted
): Promise<GroupPlan | EpochPlan> {
  const { kind, group = kind, from, to, inPlace, limit } = body
  const mode = inPlace ? 'in-place' : 'beside'
  const request = { projectId, kind, group, mode, from: toEdge(from), to: toEdge(to), limit: BigInt(limit) } as const
  const plan = await planReplay(replays, request)
  return plan.effect === 'epoch' ? await epochBuilds.plan(plan, request) : plan
}

function toEdge({ time, offset, offsets }: Edge = {}): ReplayEdge {
  if (time !== undefined) return { kind: 'time', ms: Date.parse(time) }
  if (offset !== undefined) return { kind: 'offset', offset: BigInt(offset) }
  if (offsets === undefined) return { kind: 'all' }
  return { kind: 'offsets', offsets: new Map(Object.entries(offsets).map(([at, own]) => [Number(at), BigInt(own)])) }
}
