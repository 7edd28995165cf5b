// Reads a whole spec from an environment and reports every problem at once: an operator fixes a deployment in one go.
import { AppError } from '@millrace/kernel'
import type { ConfigOf, Spec } from './fields.ts'

/** A rule across settings; returns a sentence naming the variables when it is broken. */
export type CrossRule<S extends Spec> = (config: ConfigOf<S>) => string | undefined

/** One wrong or missing variable. */
export interface ConfigProblem {
  readonly variable: string
  readonly problem: string
}

/**
 * The frozen values of `spec` from `env`. An unset or empty variable takes its default. Throws PIPE_CONFIG_INVALID
 * whose message lists every problem, one line each; values of secrets are never quoted.
 */
export function load<S extends Spec>(
  spec: S,
  env: Readonly<Record<string, string | undefined>>,
  rules: readonly CrossRule<S>[] = []
): ConfigOf<S> {
  const problems: ConfigProblem[] = []
  const values: Record<string, unknown> = {}
  for (const [variable, field] of Object.entries(spec)) {
    const raw = env[variable]
    if (raw === undefined || raw === '') {
      if (field.default === undefined) problems.push({ variable, problem: `is required: ${field.doc}` })
      else values[variable] = field.default
      continue
    }
    const parsed = field.parse(raw)
    if (parsed.ok) values[variable] = parsed.value
    else problems.push({ variable, problem: field.secret ? parsed.problem : `${parsed.problem}, not '${raw}'` })
  }
  // A cast at the only place where the record becomes the type inferred from the same spec.
  const config = Object.freeze(values) as ConfigOf<S>
  if (problems.length === 0) {
    for (const rule of rules) {
      const problem = rule(config)
      if (problem !== undefined) problems.push({ variable: 'settings', problem })
    }
  }
  if (problems.length > 0) throw invalid(problems)
  return config
}

function invalid(problems: readonly ConfigProblem[]): AppError {
  const width = Math.max(...problems.map(({ variable }) => variable.length))
  const lines = problems.map(({ variable, problem }) => `  ${variable.padEnd(width)}  ${problem}`)
  return new AppError('PIPE_CONFIG_INVALID', `${problems.length} setting(s) are wrong:\n${lines.join('\n')}`, {
    details: { variables: problems.map(({ variable }) => variable).join(',') }
  })
}
