// Which event types, users and devices of each project are busiest, in windows of ten seconds: the last whole one and the one that
// runs. For people who look for the key behind a hot partition or a flood, and choose a limit.
import type { Gate } from './acceptance.ts'
import { createSpaceSaving, mergeViews } from './space-saving.ts'
import type { SketchView, SpaceSaving } from './space-saving.ts'
import type { Clock } from '@millrace/kernel'

/** Length of a window in milliseconds. */
export const hotKeyWindowMs = 10_000
/** Counters of each sketch: a key with more than a 64th of its project's events is listed for sure. */
export const hotKeyCapacity = 64

/** The busiest keys of a project in one window. */
export interface HotProject {
  readonly projectId: string
  readonly eventTypes: SketchView
  /** Events without a user id are not counted. */
  readonly users: SketchView
  /** Events without a user id, by their anonymous id. */
  readonly anonymous: SketchView
}

export interface HotWindow {
  /** ISO 8601. */
  readonly startedAt: string
  /** False for the window that runs. */
  readonly complete: boolean
  /** Most events first. */
  readonly projects: readonly HotProject[]
  /** Events of projects beyond those that have sketches. */
  readonly eventsBeyond: number
}

export interface HotKeys {
  /** Counts events and lets all of them pass. */
  readonly gate: Gate
  /** The last whole window and the one that runs; windows start at multiples of their length. */
  view(): readonly HotWindow[]
}

/** Under which topic the processes of a gateway give each other their windows. */
export const hotKeyTopic = 'hot-keys'

type Sketches = Readonly<Record<'eventTypes' | 'users' | 'anonymous', SpaceSaving>>

interface Window {
  readonly startMs: number
  readonly projects: Map<string, Sketches>
  eventsBeyond: number
}

/** Sketches of at most `maxProjects` projects per window. */
export function createHotKeys(clock: Clock, maxProjects = 500): HotKeys {
  let current = openWindow(clock.now())
  let last: Window | undefined

  const roll = (nowMs: number): void => {
    if (nowMs >= current.startMs && nowMs < current.startMs + hotKeyWindowMs) return
    const next = openWindow(nowMs)
    last = next.startMs === current.startMs + hotKeyWindowMs ? current : undefined
    current = next
  }
  const sketchesOf = (projectId: string) => {
    let sketches = current.projects.get(projectId)
    if (sketches === undefined && current.projects.size < maxProjects) {
      const sketch = (): SpaceSaving => createSpaceSaving(hotKeyCapacity)
      sketches = { eventTypes: sketch(), users: sketch(), anonymous: sketch() }
      current.projects.set(projectId, sketches)
    }
    return sketches
  }

  return {
    gate: ({ projectId }, events, nowMs) => {
      roll(nowMs)
      const sketches = sketchesOf(projectId)
      if (sketches === undefined) {
        current.eventsBeyond += events.length
        return undefined
      }
      for (const { event } of events) {
        sketches.eventTypes.add(event.eventType)
        if (event.userId !== undefined) sketches.users.add(event.userId)
        else if (event.anonymousId !== undefined) sketches.anonymous.add(event.anonymousId)
      }
      return undefined
    },
    view: () => {
      roll(clock.now())
      return (last === undefined ? [current] : [last, current]).map((window) => toView(window, window !== current))
    }
  }
}

function openWindow(nowMs: number): Window {
  return { startMs: Math.floor(nowMs / hotKeyWindowMs) * hotKeyWindowMs, projects: new Map(), eventsBeyond: 0 }
}

function toView({ startMs, projects, eventsBeyond }: Window, complete: boolean): HotWindow {
  return {
    startedAt: new Date(startMs).toISOString(),
    complete,
    eventsBeyond,
    projects: [...projects]
      .map(([projectId, { eventTypes, users, anonymous }]) => ({
        projectId,
        eventTypes: eventTypes.view(),
        users: users.view(),
        anonymous: anonymous.view()
      }))
      .toSorted((left, right) => right.eventTypes.total - left.eventTypes.total)
  }
}

/** The windows of several processes as one list, newest first; at most `top` keys of each project are kept. */
export function mergeHotWindows(
  processes: readonly (readonly HotWindow[])[],
  { projectId, top = hotKeyCapacity }: { readonly projectId?: string | undefined; readonly top?: number }
): readonly HotWindow[] {
  const starts = Map.groupBy(processes.flat(), ({ startedAt }) => startedAt)
  return [...starts]
    .toSorted(([left], [right]) => (left < right ? 1 : -1))
    .map(([startedAt, windows]) => {
      const wanted = windows
        .flatMap(({ projects }) => projects)
        .filter((project) => projectId === undefined || project.projectId === projectId)
      const projects = [...Map.groupBy(wanted, (project) => project.projectId)].map(([id, parts]) => {
        const merged = (of: (part: HotProject) => SketchView): SketchView => mergeViews(parts.map(of), top)
        return {
          projectId: id,
          eventTypes: merged(({ eventTypes }) => eventTypes),
          users: merged(({ users }) => users),
          anonymous: merged(({ anonymous }) => anonymous)
        }
      })
      return {
        startedAt,
        complete: windows.every(({ complete }) => complete),
        eventsBeyond: windows.reduce((total, { eventsBeyond }) => total + eventsBeyond, 0),
        projects: projects.toSorted((left, right) => right.eventTypes.total - left.eventTypes.total)
      }
    })
}
