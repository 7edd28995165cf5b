// Plans and replays as text.
import type { Clock } from '@millrace/kernel'
import type { LogPart } from '@millrace/operations/read-log'
import type { ReplayStatus } from '@millrace/operations/replay-orders'
import type { GroupPlan } from '@millrace/operations/replay-plan'
import { formatCount, toTable } from '../output.ts'
import type { Terminal } from '../output.ts'

/** A table of parts for each group, with what follows and what stands against it. */
export function renderPlans(plans: readonly GroupPlan[], colour: boolean): string {
  return plans.map((plan) => renderPlan(plan, colour)).join('\n\n')
}

function renderPlan(plan: GroupPlan, colour: boolean): string {
  const { kind, group, topic, mode, effect, consequence, source, parts, records, refusals } = plan
  const name = kind === group ? group : `${kind} (${group})`
  const how = effect === 'epoch' ? 'a new epoch' : effect === 'nothing' ? 'nothing' : mode
  const rows = parts.map(({ partition, from, to, fromMs, toMs }) => [
    partition,
    from,
    to,
    to - from,
    timeText(fromMs),
    timeText(toMs)
  ])
  return [
    `${name}: ${formatCount(records)} records of ${topic}, from ${source}; ${how}`,
    toTable(['partition', 'from', 'to', 'records', 'first appended', 'last appended'], rows, colour),
    `what follows: ${consequence}`,
    ...(mode === 'in-place' ? ['live events of this group wait until it has come forward again'] : []),
    ...refusals.map((refusal) => `against it: ${refusal}`)
  ].join('\n')
}

/** A line for each part that nobody has any more. */
export function renderGone(gone: readonly LogPart[]): readonly string[] {
  return gone.map(({ topic, partition, from, to }) => `gone              ${topic}:${partition} ${from} to ${to - 1n}`)
}

/** A table of replays. */
export function renderReplays(replays: readonly ReplayStatus[], colour: boolean): string {
  if (replays.length === 0) return 'there was no replay yet'
  const rows = replays.map((replay) => {
    const { id, projectId, group, mode, records, progress, changedAt, actor, reason } = replay
    const left = progress?.remaining
    return [id, projectId, group, mode, stateText(replay), records, left, changedAt.toISOString(), actor, reason]
  })
  const head = ['id', 'project', 'group', 'how', 'state', 'records', 'left', 'changed', 'by', 'reason']
  return [
    toTable(head, rows, colour),
    ...replays.flatMap(({ id, problem }) => (problem === undefined ? [] : [`${id}: ${problem}`])),
    ...replays.flatMap(heldText)
  ].join('\n')
}

/** What goes before a replay that runs: it gives way to live reading, also while that is stopped. */
function heldText({ id, state, group, progress }: ReplayStatus): readonly string[] {
  const behind = progress?.liveBehind ?? 0n
  if (state !== 'running' || behind === 0n) return []
  return [
    `${id}: ${group} itself is ${formatCount(behind)} records behind, which go first; if that stays, look at its workers (\`/health\`)`
  ]
}

function stateText({ state, heldForMs, id }: ReplayStatus): string {
  if (state !== 'preparing' && state !== 'aborting') return state
  if (heldForMs > 0) return `${state}, held for ${Math.ceil(heldForMs / 1_000)} s`
  const next = state === 'preparing' ? `\`replay start --resume ${id}\` or ` : ''
  return `${state}, interrupted: ${next}\`replay abort ${id}\``
}

const barWidth = 30

/** On a terminal one line that is rewritten; elsewhere nothing but the result. */
export function showReplay(
  terminal: Terminal,
  json: boolean | undefined,
  clock: Clock
): (replay: ReplayStatus) => void {
  if (json === true || !terminal.isTty) return () => undefined
  const startedAtMs = clock.monotonic()
  let first: bigint | undefined
  return ({ id, state, progress }) => {
    const { records, remaining } = progress ?? { records: 0n, remaining: 0n }
    first ??= remaining
    const share = records === 0n ? 1 : Number(records - remaining) / Number(records)
    const perSecond = (Number(first - remaining) * 1_000) / Math.max(1, clock.monotonic() - startedAtMs)
    const bar = '#'.repeat(Math.round(share * barWidth)).padEnd(barWidth, '.')
    const left = perSecond < 1 ? '?' : Math.ceil(Number(remaining) / perSecond)
    const text = `replay ${id} [${bar}] ${Math.floor(share * 100)} %, ${formatCount(Math.round(perSecond))}/s, ${left} s left, ${state}`
    const isEnd = state !== 'running' && state !== 'preparing'
    terminal.write(`\r\u001B[K${text.slice(0, terminal.columns - 1)}${isEnd ? '\n' : ''}`)
  }
}

function timeText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
