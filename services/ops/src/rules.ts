// Rules that several routes share.
import type { Members, Rule } from './route.ts'

/** Text with what it means. */
export function text(description: string, rule: Rule = {}): Rule {
  return { type: 'string', minLength: 1, maxLength: 500, ...rule, description }
}

/** A whole number in a range. */
export function whole(description: string, minimum: number, maximum: number, byDefault: number): Rule {
  return { type: 'integer', minimum, maximum, default: byDefault, description }
}

/** `true` or `false`; false when absent. */
export function flag(description: string): Rule {
  return { type: 'boolean', default: false, description }
}

export const projectParams: Members = { properties: { projectId: text('The project.', { maxLength: 39 }) } }

export const ofProject: Members = {
  properties: { project: text('Only this project; all when absent.', { maxLength: 39 }) }
}
