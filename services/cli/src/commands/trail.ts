// `millrace trail`: where one event is.
import { AppError } from '@millrace/kernel'
import { trailOf } from '@millrace/operations/trail'
import type { Trail } from '@millrace/operations/trail'
import type { Command } from 'commander'
import { openDatabase, openLog, openWarehouse } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print, toTable } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { addCommand } from './command.ts'
import { openSinks } from './lag.ts'

interface TrailOptions extends CommonOptions {
  readonly project: string
  readonly around?: string
}

/** Adds `trail`. */
export function addTrailCommand(program: Command, context: CliContext): void {
  const { terminal, clock } = context
  addCommand(program, {
    usage: 'trail <eventId>',
    description: 'where one event is: its record, each group, the warehouse row, the archive file, its dead letters',
    examples: [
      'npx millrace trail 0197a2f4-7a1c-7000-8000-000000000001',
      'npx millrace trail order-4711 --project shop --around 2026-01-31T10:00:00Z --json'
    ]
  })
    .option('--project <projectId>', 'the project', 'demo')
    .option('--around <time>', 'search the log ten minutes around this time when nothing else knows the event')
    .action(async (eventId: string, { json, dataDir, project: projectId, around }: TrailOptions) => {
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const { admin, client } = await openLog(context, dataDir, stack)
      const trail = await trailOf(
        {
          postgres,
          admin,
          clickhouse: await openWarehouse(context, dataDir, stack),
          log: { client, clock },
          sinks: (await openSinks(context, dataDir, stack)).sinks,
          nowMs: clock.now()
        },
        { projectId, eventId, aroundMs: around === undefined ? undefined : timeOf('--around', around, clock.now()) }
      )
      print(terminal, json, trail, () => renderTrail(trail, terminal.colour))
      const unknown = unknownOf(trail)
      if (unknown !== undefined) throw unknown
    })
}

/** An event that was not found; it may be in a store that was away. */
export function unknownOf({
  projectId,
  eventId,
  place,
  letters,
  problems
}: Pick<Trail, 'projectId' | 'eventId' | 'place' | 'letters' | 'problems'>): AppError | undefined {
  if (place !== undefined || letters.length > 0) return undefined
  if (problems.length === 0)
    return new AppError('PIPE_NOT_FOUND', `nobody knows of '${eventId}' in ${projectId}; --around searches the log`)
  return new AppError(
    problems.some((problem) => problem.startsWith('warehouse'))
      ? 'PIPE_CLICKHOUSE_UNAVAILABLE'
      : 'PIPE_POSTGRES_UNAVAILABLE',
    `whether '${eventId}' is in ${projectId} is not known: ${problems.join('; ')}; ask again, or --around searches the log`
  )
}

function renderTrail(trail: Trail, colour: boolean): string {
  const { eventId, place, foundBy, eventType, timestamp, groups, warehouse, recorded, archive, letters, problems } =
    trail
  const away = problems.map((problem) => `not known    ${problem}`)
  if (place === undefined && letters.length === 0) return [`${eventId}: not found`, ...away].join('\n')
  const rows = groups.map(({ group, position, isPast, problem }) => [
    group,
    position,
    problem ?? (isPast === undefined ? '-' : isPast ? 'done' : 'waits')
  ])
  const at = place === undefined ? '-' : `${place.topic}:${place.partition} offset ${place.offset}, ${place.appendedAt}`
  return [
    `event        ${eventId} (${eventType ?? 'type unknown'}, ${timestamp ?? 'time unknown'})`,
    `record       ${at}; known by ${foundBy ?? 'nobody'}`,
    `warehouse    ${warehouse === undefined ? 'no row' : `shown, ${warehouse.rows} row(s), ${warehouse.latenessMs} ms after its time`}`,
    `raw_events   ${recorded === undefined ? 'no row' : 'there'}`,
    `archive      ${archive === undefined ? 'no file yet' : `${archive.key} (${archive.first} to ${archive.last})`}`,
    ...away,
    ...letters.map(({ id, reason, code, message }) => `dead letter  ${id}: ${reason}, ${code}: ${message}`),
    ...(rows.length === 0 ? [] : [toTable(['group', 'position', 'this record'], rows, colour)])
  ].join('\n')
}
