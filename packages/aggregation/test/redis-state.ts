// The state of an epoch in Redis as one plain value, from Redis and from the reducer, so that they can be compared; and
// the way back, so that any state can be the one that a script begins with.
import type { Redis } from '@millrace/stores/redis'
import { epochsKey, pointerKey, stateKeys } from '../src/keys.ts'
import type { StateKeys } from '../src/keys.ts'
import type { SessionRecord } from '../src/session-record.ts'
import type { SessionState } from '../src/sessions.ts'
import type { EpochState, ProjectState } from '../src/state.ts'
import type { WindowState } from '../src/windows.ts'

type Command = readonly [name: string, ...args: (string | number)[]]
type Hash = Readonly<Record<string, string>>

/** Every key of an epoch with its value; HyperLogLogs as the estimate of their size. */
export type PlainState = Readonly<Record<string, unknown>>

/** What Redis holds of `project`. */
export async function readPlain(redis: Redis, project: string): Promise<PlainState> {
  const names = await keysOf(redis, project)
  const types = await all(
    redis,
    names.map((name) => ['TYPE', name])
  )
  const values = await all(
    redis,
    names.map((name, index) => commandFor(name, String(types[index])))
  )
  return Object.fromEntries(names.map((name, index) => [name, readable(String(types[index]), values[index])]))
}

async function all(redis: Redis, commands: readonly Command[]): Promise<readonly unknown[]> {
  const replies = await redis.pipeline(commands)
  return replies.map((reply) => {
    if (!reply.ok) throw reply.error
    return reply.value
  })
}

/** What Redis would hold of `state`. Estimates of HyperLogLogs need a Redis: they are made in scratch keys, each once. */
export async function toPlain(redis: Redis, project: string, state: ProjectState): Promise<PlainState> {
  const plain: Record<string, unknown> = {}
  const members = new Map<string, readonly string[]>()
  for (const [name, key, ...args] of stateCommands(project, state).map((command) => command.map(String))) {
    if (name === undefined || key === undefined) continue
    if (name === 'SET') plain[key] = args[0]
    else if (name === 'SADD') plain[key] = [...((plain[key] as string[] | undefined) ?? []), ...args].sort()
    else if (name === 'EVAL') plain[String(args[1])] = args[2]
    else if (name === 'PFADD') members.set(key, args)
    else plain[key] = Object.assign(plain[key] ?? {}, pairs(name === 'ZADD' ? swapped(args) : args))
  }
  const estimates = await estimatesOf(redis, [...members.values()])
  for (const [index, key] of [...members.keys()].entries()) plain[key] = estimates[index]
  return plain
}

/** Score before member, as ZADD has it; the other way round as ZRANGE answers. */
function swapped(args: readonly string[]): string[] {
  return args.map((_, index) => args[index % 2 === 0 ? index + 1 : index - 1] ?? '')
}

const known = new Map<string, number>()

/** What PFCOUNT says of each set of members. */
async function estimatesOf(redis: Redis, sets: readonly (readonly string[])[]): Promise<readonly number[]> {
  const texts = sets.map((members) => JSON.stringify([...members].sort()))
  const missing = [...new Set(texts)].filter((text) => !known.has(text))
  const replies = await all(
    redis,
    missing.flatMap((text): readonly Command[] => [
      ['PFADD', '{scratch}', ...(JSON.parse(text) as string[])],
      ['PFCOUNT', '{scratch}'],
      ['DEL', '{scratch}']
    ])
  )
  for (const [index, text] of missing.entries()) known.set(text, Number(replies[3 * index + 1]))
  return texts.map((text) => known.get(text) ?? -1)
}

/** Makes `state` what Redis holds of `project`. */
export async function writePlain(redis: Redis, project: string, state: ProjectState): Promise<void> {
  await clear(redis, project)
  await all(redis, stateCommands(project, state))
}

function stateCommands(project: string, state: ProjectState): readonly Command[] {
  const commands: Command[] = state.pointer === 0 ? [] : [['SET', pointerKey(project), String(state.pointer)]]
  for (const [number, epoch] of state.epochs) {
    commands.push(['SADD', epochsKey(project), number], ...epochCommands(stateKeys(project, number), epoch))
  }
  return commands
}

/** Deletes all of `project`. */
export async function clear(redis: Redis, project: string): Promise<void> {
  const names = await keysOf(redis, project)
  if (names.length > 0) await redis.command('DEL', ...names)
}

async function keysOf(redis: Redis, project: string): Promise<readonly string[]> {
  const names: string[] = []
  let cursor = '0'
  do {
    // SCAN answers the next cursor and names.
    const reply = (await redis.command('SCAN', cursor, 'MATCH', `*{${project}}*`, 'COUNT', 5_000)) as [string, string[]]
    cursor = reply[0]
    names.push(...reply[1])
  } while (cursor !== '0')
  return [...new Set(names)].sort()
}

function commandFor(name: string, type: string): Command {
  if (type === 'set') return ['SMEMBERS', name]
  if (type === 'zset') return ['ZRANGE', name, 0, -1, 'WITHSCORES']
  if (type === 'hash') return ['HGETALL', name]
  if (name.startsWith('analytics:session:')) return ['EVAL', unpackLua, 1, name]
  return name.startsWith('uniq:') ? ['PFCOUNT', name] : ['GET', name]
}

function readable(type: string, value: unknown): unknown {
  if (type === 'set') return sorted(value)
  return type === 'zset' || type === 'hash' ? pairs(value) : value
}

const sorted = (reply: unknown): readonly string[] => (reply as string[]).sort()

function pairs(reply: unknown): Hash {
  const flat = (reply as (string | string[])[]).flat()
  const made: Record<string, string> = {}
  for (let index = 0; index < flat.length; index += 2) made[String(flat[index])] = String(flat[index + 1])
  return made
}

function epochCommands(keys: StateKeys, epoch: EpochState): readonly Command[] {
  const { late, closed, expired } = epoch.counts
  const meta: Record<string, string | number> = { stage: epoch.stage, from: epoch.completeFromMs }
  if (epoch.torn !== undefined) meta['torn'] = epoch.torn
  if (epoch.deletedThrough >= 0) meta['deleted'] = epoch.deletedThrough
  if (late > 0) meta['late'] = late
  if (closed > 0) meta['closed'] = closed
  if (expired > 0) meta['expired'] = expired
  const commands: Command[] = [['HSET', keys.meta, ...Object.entries(meta).flat()]]
  for (const [partition, { position, appendedAtMs, clockMs }] of epoch.partitions.entries()) {
    if (position > 0n) commands.push(['HSET', keys.positions, `p${partition}`, String(position)])
    if (position > 0n) commands.push(['HSET', keys.positions, `f${partition}`, appendedAtMs])
    if (clockMs >= 0) commands.push(['HSET', keys.positions, `c${partition}`, clockMs])
  }
  if (epoch.partitions.length > 0) commands.push(['HSET', keys.positions, 'n', epoch.partitions.length])
  for (const [hour, ids] of epoch.seen) {
    if (ids.size > 0) commands.push(['SADD', keys.seen(hour), ...ids], ['ZADD', keys.hours, hour, hour])
  }
  for (const [name, window] of epoch.windows) commands.push(...windowCommands(keys, name, window))
  for (const name of epoch.dirty) commands.push(['ZADD', keys.dirty, epoch.windows.get(name)?.startMs ?? 0, name])
  for (const [id, session] of epoch.sessions) commands.push(...sessionCommands(keys, id, session))
  for (const id of epoch.dirtySessions) {
    commands.push(['ZADD', keys.dirtySessions, epoch.sessions.get(id)?.lastMs ?? 0, id])
  }
  return commands
}

function windowCommands(keys: StateKeys, name: string, window: WindowState): readonly Command[] {
  const key = keys.window(name)
  const fields: Record<string, string | number> = { n: window.events }
  const commands: Command[] = [['ZADD', keys.held, window.deleteAtMs, name]]
  const apart = [...window.values.keys()].filter((dimension) => dimension.startsWith('[')).length
  if (apart > 0) fields['d'] = apart
  if (window.capped) fields['o'] = 1
  if (window.closed) fields['x'] = 1
  else commands.push(['ZADD', keys.open, window.closeAtMs, name])
  for (const [dimension, { count, min, max, members }] of window.values) {
    fields[`c${dimension}`] = count
    if (min !== undefined) fields[`m${dimension}`] = min
    if (max !== undefined) fields[`M${dimension}`] = max
    if (members.size === 0) continue
    fields[`u${dimension}`] = 1
    commands.push(['PFADD', keys.unique(name, dimension), ...members])
  }
  for (const [dimension, { sum }] of window.values) {
    if (sum === 0n) continue
    fields[`h${dimension}`] = String(sum >> 40n)
    fields[`l${dimension}`] = String(BigInt.asUintN(40, sum))
  }
  return [['HSET', key, ...Object.entries(fields).flat()], ...commands]
}

const packLua = `redis.call('SET', KEYS[1], cmsgpack.pack(unpack(cjson.decode(ARGV[1]))))`
const unpackLua = `return cjson.encode({cmsgpack.unpack(redis.call('GET', KEYS[1]))})`

function sessionCommands(keys: StateKeys, id: string, session: SessionState): readonly Command[] {
  const index = session.closed ? keys.kept : keys.due
  return [
    ['EVAL', packLua, 1, keys.session(id), JSON.stringify(toRecord(session))],
    ['ZADD', index, session.lastMs, id]
  ]
}

function toRecord(session: SessionState): SessionRecord {
  const { firstMs, lastMs, events, pageViews, converted, closed, contributed, first, entry, exit, user } = session
  const given = contributed === undefined ? '' : Object.values(contributed).map(Number).join(' ')
  const numbers = [firstMs, lastMs, events, pageViews, Number(converted), Number(closed)] as const
  return [...numbers, given, first, entry, exit, user, '']
}

/**
 * One form for what may be written in several: sums in two parts that need not be carried, positions that were never
 * moved; without the hint of the filter; and without epochs that are over, which the scripts leave for the sweep.
 */
export function normal(plain: PlainState, pointer: number): PlainState {
  const isOver = (key: string): boolean => {
    const number = /^[^{]*\{[^}]*\}:(\d+)/.exec(key)?.[1]
    if (number === undefined) return false
    const meta = plain[key.replace(/^[^{]*(\{[^}]*\}:\d+).*$/s, 'meta:$1')] as Hash | undefined
    return Number(number) < pointer || meta?.['stage'] === 'over'
  }
  const kept = Object.entries(plain).filter(([key]) => !isOver(key) && !key.startsWith('known:'))
  const numbers = new Set(kept.flatMap(([key]) => /^meta:\{[^}]*\}:(\d+)$/.exec(key)?.[1] ?? []))
  return Object.fromEntries(kept.map(([key, value]) => [key, normalValue(key, value, numbers)]).filter(hasMembers))
}

const hasMembers = ([, value]: readonly unknown[]): boolean =>
  typeof value !== 'object' || Object.keys(value ?? {}).length > 0

function normalValue(key: string, value: unknown, numbers: ReadonlySet<string>): unknown {
  if (key.startsWith('metric:')) return carried(value as Hash)
  if (key.startsWith('analytics:session:')) return (JSON.parse(String(value)) as unknown[]).slice(0, 11)
  if (key.startsWith('epochs:')) return (value as string[]).filter((number) => numbers.has(number))
  if (key.startsWith('pos:')) return without(value as Hash, ([field, text]) => text === (field[0] === 'f' ? '-1' : '0'))
  return key.startsWith('meta:') ? without(value as Hash, ([field]) => field === 'layer' || field === 'known') : value
}

function without(fields: Hash, isLeftOut: (entry: readonly [string, string]) => boolean): Hash {
  return Object.fromEntries(Object.entries(fields).filter((entry) => !isLeftOut(entry)))
}

function carried(fields: Hash): Hash {
  const made: Record<string, string> = {}
  const sums = new Map<string, bigint>()
  for (const [field, value] of Object.entries(fields)) {
    if (field.startsWith('h')) sums.set(field.slice(1), (sums.get(field.slice(1)) ?? 0n) + (BigInt(value) << 40n))
    else if (field.startsWith('l')) sums.set(field.slice(1), (sums.get(field.slice(1)) ?? 0n) + BigInt(value))
    else made[field] = value
  }
  for (const [dimension, sum] of sums) if (sum !== 0n) made[`sum${dimension}`] = String(sum)
  return made
}
