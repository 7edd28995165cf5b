// Dead letters: look, send again, give up.
import { AppError } from '@millrace/kernel'
import { dropLetters } from '@millrace/operations/drop-letters'
import type { DropDeps } from '@millrace/operations/drop-letters'
import { resumeGroup } from '@millrace/operations/group-resumes'
import { letterConditions, letterFields, parseLetterFilter } from '@millrace/operations/letter-filter'
import { countStates, groupLetters } from '@millrace/operations/letter-groups'
import { readLetters } from '@millrace/operations/letters'
import type { FoundLetter } from '@millrace/operations/letters'
import { previewRedrive, redriveLetters } from '@millrace/operations/redrive-letters'
import type { OnFailure, RedriveDeps } from '@millrace/operations/redrive-letters'
import { showLetter } from '@millrace/operations/show-letter'
import { createOneAtATime } from '../one-at-a-time.ts'
import { route } from '../route.ts'
import type { Members, OpsRoute } from '../route.ts'
import { flag, projectParams, text, whole } from '../rules.ts'

export interface LetterRouteDeps {
  /** Opened by the first request that needs it. */
  readonly letters: () => Promise<RedriveDeps & DropDeps>
}

type OneAtATime = ReturnType<typeof createOneAtATime>

interface Picked {
  readonly where: readonly string[]
  readonly since?: string
}

type Place = { readonly projectId: string }

const picking = {
  where: {
    type: 'array',
    items: { type: 'string' },
    maxItems: 20,
    default: [],
    description: `${letterConditions}. Fields: ${letterFields.join(', ')}.`,
    examples: [['group=load', 'message~out of range']]
  },
  since: { type: 'string', format: 'date-time', description: 'Only letters written since then.' }
}
const limited: Members['properties'] = {
  ...picking,
  limit: whole('Letters at most, the oldest.', 1, 50_000, 10_000),
  dryRun: flag('Only say which letters it would be.')
}

/** List, show, group, redrive and drop letters. */
export function createLetterRoutes({ letters: open }: LetterRouteDeps): readonly OpsRoute[] {
  const reading = createOneAtATime('reading dead letters')
  const pick = async ({ projectId }: Place, { where, since }: Picked): Promise<readonly FoundLetter[]> => {
    const matches = parseLetterFilter(where)
    const letters = await reading(async () => await readLetters(await open(), { projectId, ...sinceOf(since) }))
    return letters.filter(matches)
  }
  return [
    route<{ params: Place; query: Picked & { limit: number } }>({
      method: 'GET',
      path: '/v1/projects/:projectId/letters',
      summary: 'Dead letters of a project',
      params: projectParams,
      query: { properties: { ...picking, limit: whole('Letters at most, the latest.', 1, 10_000, 100) } },
      reply: { status: 200, description: 'The latest last, and how many are in each state.' },
      problems: ['not_found'],
      handle: async ({ params, query }) => {
        const letters = await pick(params, query)
        return { letters: letters.slice(-query.limit), matched: letters.length, states: countStates(letters) }
      }
    }),
    route<{ params: Place; query: Picked }>({
      method: 'GET',
      path: '/v1/projects/:projectId/letters/causes',
      summary: 'Dead letters by cause',
      description: 'Letters of one group, class, code, stage and message, whatever values the message quotes.',
      params: projectParams,
      query: { properties: picking },
      reply: { status: 200, description: 'The cause with the most open letters first.' },
      problems: ['not_found'],
      handle: async ({ params, query }) => ({ causes: groupLetters(await pick(params, query)) })
    }),
    route<{ params: { letterId: string } }>({
      method: 'GET',
      path: '/v1/letters/:letterId',
      summary: 'A dead letter with the bytes and headers of its record',
      params: { properties: { letterId: text('`group:topic:partition:offset`.') } },
      reply: { status: 200, description: 'The letter.' },
      problems: ['not_found'],
      handle: ({ params }) => reading(async () => await showLetter(await open(), params.letterId))
    }),
    redriveRoute(open, reading),
    route<{ params: { groupId: string } }>({
      method: 'POST',
      path: '/v1/groups/:groupId/resume',
      summary: 'Let a consumer group go on that stopped itself because of too many dead letters',
      description: 'What it held back becomes letters. A process that works is left alone; so a repeat does no harm.',
      params: { properties: { groupId: text('The consumer group, such as `load`.') } },
      reply: { status: 200, description: 'Its processes hear of it within seconds.' },
      problems: ['not_found'],
      handle: async ({ params: { groupId } }) => {
        await resumeGroup(await open(), groupId)
        return { groupId, resumed: true }
      }
    }),
    route<{ params: Place; body: Picked & { limit: number; dryRun: boolean; reason: string } }>({
      method: 'POST',
      path: '/v1/projects/:projectId/letters/drop',
      summary: 'Give open letters up',
      description: 'Nothing is deleted, and a letter that is written anew is open again.',
      params: projectParams,
      body: { properties: { ...limited, reason: { type: 'string', maxLength: 500, default: '' } } },
      reply: { status: 200, description: 'Which ones.' },
      problems: ['not_found'],
      handle: async ({ params, body: { since, dryRun, ...rest } }) => {
        const request = { ...params, ...rest, ...sinceOf(since) }
        return await reading(async () =>
          dryRun
            ? { dryRun, ...(await previewRedrive(await open(), request)) }
            : await dropLetters(await open(), request)
        )
      }
    })
  ]
}

interface RedriveBody extends Picked {
  readonly limit: number
  readonly dryRun: boolean
  readonly perSecond: number
  readonly onFailure: OnFailure
  readonly waitMs: number
}

/** Shorter than a connection is held without an answer, `waitMs` included. */
const longestSeconds = 240

function redriveRoute(open: LetterRouteDeps['letters'], reading: OneAtATime): OpsRoute {
  const redriving = createOneAtATime('redriving dead letters')
  return route<{ params: Place; body: RedriveBody }>({
    method: 'POST',
    path: '/v1/projects/:projectId/letters/redrive',
    summary: 'Send open letters to the group that wrote them, once more',
    description:
      'The reply comes when they are sent and the group has come to them, or after `waitMs`. A letter is sent once however often this is repeated; one redrive of a project at a time.',
    params: projectParams,
    body: {
      properties: {
        ...limited,
        perSecond: whole('Letters a second at most.', 1, 10_000, 1_000),
        onFailure: {
          enum: ['reinsert', 'drop', 'stop'],
          default: 'reinsert',
          description: 'Letters that fail again: leave them open, give them up, or stop the rest.'
        },
        waitMs: whole('How long to wait for the group.', 0, 60_000, 10_000)
      }
    },
    reply: { status: 200, description: 'What became of each letter.' },
    problems: ['not_found', 'conflict'],
    handle: async ({ params, body: { since, dryRun, ...rest } }) => {
      const request = { ...params, ...rest, ...sinceOf(since) }
      if (dryRun) return await reading(async () => ({ dryRun, ...(await previewRedrive(await open(), request)) }))
      const { limit, perSecond } = request
      if (limit / perSecond > longestSeconds) {
        const asked = `${limit} letters at ${perSecond} a second`
        const advice = 'ask for fewer, and repeat it'
        throw new AppError('PIPE_INVALID_INPUT', `${asked} take longer than ${longestSeconds} s; ${advice}`)
      }
      return await redriving(async () => await redriveLetters(await open(), request))
    }
  })
}

function sinceOf(since: string | undefined): { readonly sinceMs?: number } {
  return since === undefined ? {} : { sinceMs: Date.parse(since) }
}
