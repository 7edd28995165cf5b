// What an examination says: one sentence of what was looked at, and the fix where it is not as it has to be.

/** `failure`: data or answers are at risk. `warning`: they will be. `ok`: looked at, and good. */
export type FindingStatus = 'ok' | 'warning' | 'failure'

export interface Finding {
  /** Name of the examination, such as `retention`. */
  readonly check: CheckName
  readonly status: FindingStatus
  /** What was looked at: a topic, a role of Redis, a database. */
  readonly subject: string
  readonly detail: string
  /** What to do; with every warning and failure. */
  readonly fix?: string
}

export const checkNames = [
  'topics',
  'retention',
  'redis',
  'postgres',
  'clickhouse',
  'schemas',
  'clocks',
  'connections',
  'disks',
  'settings'
] as const
export type CheckName = (typeof checkNames)[number]

/** Findings of one examination. */
export interface Findings {
  ok(subject: string, detail: string): Finding
  warning(subject: string, detail: string, fix: string): Finding
  failure(subject: string, detail: string, fix: string): Finding
}

/** Makes findings of `check`. */
export function findingsOf(check: CheckName): Findings {
  return {
    ok: (subject, detail) => ({ check, status: 'ok', subject, detail }),
    warning: (subject, detail, fix) => ({ check, status: 'warning', subject, detail, fix }),
    failure: (subject, detail, fix) => ({ check, status: 'failure', subject, detail, fix })
  }
}

/** `ok` for a subject without complaints, else the complaints. */
export function orOk(complaints: readonly Finding[], ok: Finding): readonly Finding[] {
  return complaints.length === 0 ? [ok] : complaints
}

/** `4096` of `8192` as `50 %`. */
export function percent(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`
}
