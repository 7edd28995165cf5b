// A description of an HTTP surface (OpenAPI) as one page of HTML that loads nothing: no script, no font, no other host.

/** What the page shows of a description. */
export interface ShownApi {
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly paths: object
  readonly components: { readonly schemas: object }
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly description?: string
  readonly schema?: Schema
}

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly parameters?: readonly Parameter[]
  readonly security?: readonly unknown[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> }
  readonly responses: Readonly<Record<string, { readonly description: string }>>
}

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly const?: string
  readonly enum?: readonly (string | number)[]
  readonly format?: string
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly $ref?: string
}

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h2 code { font-size: 1.1rem; } .method { font-weight: 700; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line); }
nav a { margin-right: 1rem; }
`

/** The page of `api`. */
export function renderDocsPage({ info, paths, components }: ShownApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as Readonly<Record<string, Operation>>).map(([method, operation]) => ({
      path,
      method,
      operation
    }))
  )
  // Paths that answer alike are told once.
  const groups = Map.groupBy(operations, ({ operation }) => JSON.stringify({ ...operation, operationId: undefined }))
  const schemas = Object.entries(components.schemas as Readonly<Record<string, Schema>>)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(info.title)}</title><style>${style}</style></head><body>
<h1>${escape(info.title)} <small>${escape(info.version)}</small></h1>
<p>${inline(info.description)}</p>
<p>Machines read <a href="openapi.json">openapi.json</a>. Keys go into <code>Authorization: Bearer</code> or <code>X-API-Key</code>.</p>
<nav>${schemas.map(([name]) => `<a href="#${name}">${name}</a>`).join('')}</nav>
${[...groups.values()].map((group) => renderOperation(group)).join('\n')}
${schemas.map(([name, schema]) => renderSchema(name, schema)).join('\n')}
</body></html>
`
}

function renderOperation(group: readonly { path: string; method: string; operation: Operation }[]): string {
  const operation = group[0]!.operation
  const title = group.map(({ method, path }) => `<span class="method">${method.toUpperCase()}</span> ${escape(path)}`)
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { example }]) => {
    const text = typeof example === 'string' ? example : JSON.stringify(example, null, 2)
    return `<p><code>${escape(type)}</code></p><pre>${escape(text)}</pre>`
  })
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, required, description = '', schema = {} }) => {
      const note = required === true ? `${place}, required` : place
      return `<tr><td><code>${escape(name)}</code> (${note})</td><td>${escape(ruleOf(schema))}</td><td>${inline(description)}</td></tr>`
    }
  )
  const table =
    parameters.length === 0
      ? ''
      : `<table><tr><th>Parameter</th><th>Rule</th><th></th></tr>${parameters.join('')}</table>`
  const replies = Object.entries(operation.responses).map(
    ([status, { description }]) =>
      `<tr><td>${status}</td><td>${description.split('\n\n').map(inline).join('<br>')}</td></tr>`
  )
  return `<h2><code>${title.join('<br>')}</code></h2><p>${inline(operation.summary ?? '')}. ${inline(operation.description ?? '')} ${
    operation.security?.length === 0 ? 'No API key is needed.' : ''
  }</p>${table}${bodies.join('')}<table><tr><th>Status</th><th>Meaning</th></tr>${replies.join('')}</table>`
}

function renderSchema(name: string, schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([member, rule]) => {
    const required = schema.required?.includes(member) === true ? ' (required)' : ''
    return `<tr><td><code>${escape(member)}</code>${required}</td><td>${escape(ruleOf(rule))}</td><td>${inline(rule.description ?? '')}</td></tr>`
  })
  return `<h2 id="${name}">${name}</h2><p>${inline(schema.description ?? '')}</p><table>${rows.join('')}</table>`
}

function ruleOf({
  type,
  const: only,
  enum: values,
  format,
  pattern,
  minLength,
  maxLength,
  maxItems,
  $ref
}: Schema): string {
  if (only !== undefined) return only
  if (values !== undefined) return values.join(', ')
  if ($ref !== undefined) return $ref.slice($ref.lastIndexOf('/') + 1)
  const length = maxLength === undefined ? undefined : `${minLength ?? 0} to ${maxLength} characters`
  const count = maxItems === undefined ? undefined : `at most ${maxItems}`
  return [type, format, length, count, pattern].filter((part) => part !== undefined).join(', ')
}

/** Text with `code` between backticks. */
function inline(text: string): string {
  return escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
