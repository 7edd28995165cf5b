// The busiest event types and users, as the gateways count them.
import { AppError, toError } from '@millrace/kernel'

/** A key of one project; `count - error` events of it there were for sure, `count` at most. */
export interface HotKey {
  readonly projectId: string
  readonly kind: 'eventType' | 'userId' | 'anonymousId'
  readonly key: string
  readonly count: number
  readonly error: number
  /** Of the events of its project, by `count`. */
  readonly share: number
}

export interface HotKeysWindow {
  /** ISO 8601; of the last whole window of each gateway. */
  readonly startedAt: string | undefined
  readonly windowMs: number
  /** The busiest first. */
  readonly keys: readonly HotKey[]
}

export interface HotKeysRequest {
  /** `http://host:port` of each gateway, or of a balancer before them: then it is that of one of them. */
  readonly gateways: readonly string[]
  readonly adminToken: string
  readonly projectId?: string | undefined
  /** Keys of each kind and project. */
  readonly top: number
  readonly timeoutMs?: number
}

interface Sketch {
  readonly total: number
  readonly keys: readonly { readonly key: string; readonly count: number; readonly error: number }[]
}
interface ProjectSketches {
  readonly projectId: string
  readonly eventTypes: Sketch
  readonly users: Sketch
  readonly anonymous: Sketch
}
interface Answer {
  readonly windowMs: number
  readonly windows: readonly {
    readonly startedAt: string
    readonly complete: boolean
    readonly projects: readonly ProjectSketches[]
  }[]
}

/**
 * Asks every gateway for its last whole window and adds them up. Throws PIPE_DELIVERY, naming the gateway, when one does not answer
 * or refuses the token.
 */
export async function readHotKeys(request: HotKeysRequest): Promise<HotKeysWindow> {
  const answers = await Promise.all(request.gateways.map((gateway) => ask(gateway, request)))
  const windows = answers.flatMap(({ windows: own }) => own.find(({ complete }) => complete) ?? own.slice(0, 1))
  const projects = Map.groupBy(
    windows.flatMap((window) => window.projects),
    ({ projectId }) => projectId
  )
  const keys = [...projects].flatMap(([projectId, parts]) => {
    const of = (kind: HotKey['kind'], sketch: (part: ProjectSketches) => Sketch): readonly HotKey[] =>
      added({ projectId, kind, parts: parts.map(sketch), top: request.top })
    return [
      ...of('eventType', ({ eventTypes }) => eventTypes),
      ...of('userId', ({ users }) => users),
      ...of('anonymousId', ({ anonymous }) => anonymous)
    ]
  })
  return {
    startedAt: windows
      .map(({ startedAt }) => startedAt)
      .toSorted()
      .at(-1),
    windowMs: answers[0]?.windowMs ?? 0,
    keys: keys.toSorted((left, right) => right.count - left.count)
  }
}

async function ask(
  gateway: string,
  { adminToken, projectId, top, timeoutMs = 5_000 }: HotKeysRequest
): Promise<Answer> {
  const url = new URL('/admin/hot-keys', gateway)
  url.searchParams.set('top', String(top))
  if (projectId !== undefined) url.searchParams.set('project', projectId)
  const failed = (why: string, cause?: unknown) =>
    new AppError('PIPE_DELIVERY', `the gateway at ${url.origin} ${why}`, cause === undefined ? {} : { cause })
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${adminToken}` },
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs)
  }).catch((error: unknown) => {
    throw failed(`does not answer: ${toError(error).message}`, error)
  })
  if (response.status === 401) throw failed('does not take the administration token')
  if (response.status === 404) throw failed('has no administration endpoints: it runs without ADMIN_TOKEN')
  if (!response.ok) throw failed(`answered ${response.status}`)
  // The shape is the promise of the gateway's API.
  return (await response.json()) as Answer
}

interface Sketches {
  readonly projectId: string
  readonly kind: HotKey['kind']
  readonly parts: readonly Sketch[]
  readonly top: number
}

function added({ projectId, kind, parts, top }: Sketches): readonly HotKey[] {
  const total = parts.reduce((sum, part) => sum + part.total, 0)
  const byKey = Map.groupBy(
    parts.flatMap(({ keys }) => keys),
    ({ key }) => key
  )
  return [...byKey]
    .map(([key, counts]): HotKey => {
      const count = counts.reduce((sum, each) => sum + each.count, 0)
      const error = counts.reduce((sum, each) => sum + each.error, 0)
      return { projectId, kind, key, count, error, share: total === 0 ? 0 : count / total }
    })
    .toSorted((left, right) => right.count - left.count)
    .slice(0, top)
}
