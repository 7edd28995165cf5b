import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { listed, root, serviceNames, settingsProblems, stopMs } from './declared.ts'
import { containersOf, manifestsFolder, renderKustomization } from './kustomize.ts'
import type { Manifest } from './kustomize.ts'

const folders = ['base', 'overlays/production', 'overlays/small']
const rendered = new Map(folders.map((folder) => [folder, renderKustomization(join(manifestsFolder, folder))]))
const base = rendered.get('base') ?? []

interface EnvVar {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {
    readonly configMapKeyRef?: { readonly name: string; readonly key: string }
    readonly secretKeyRef?: { readonly name: string; readonly key: string }
  }
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number
  readonly automountServiceAccountToken: boolean
  readonly securityContext: Record<string, unknown>
  readonly topologySpreadConstraints: readonly unknown[]
  readonly volumes: readonly { readonly configMap?: { readonly name: string } }[]
}

interface Container {
  readonly image: string
  readonly env?: readonly EnvVar[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly resources: { readonly requests: Record<string, string>; readonly limits: Record<string, string> }
  readonly [field: string]: unknown
}

const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
  return found
}
// What is cast here was checked against the types of Kubernetes by the first test.
const podOf = (object: Manifest) =>
  (object as unknown as { spec: { template: { metadata: { labels: Record<string, string> }; spec: PodSpec } } }).spec
    .template
const containerOf = (object: Manifest): Container => containersOf(object)[0] as unknown as Container

/** The environment of the container of a Deployment; values of secrets are undefined. */
function environment(objects: readonly Manifest[], object: Manifest): Record<string, string | undefined> {
  const { data } = find(objects, 'ConfigMap', 'millrace') as unknown as { data: Record<string, string> }
  return Object.fromEntries(
    (containerOf(object).env ?? []).map(({ name, value, valueFrom }) => [
      name,
      valueFrom?.configMapKeyRef === undefined ? value : data[valueFrom.configMapKeyRef.key]
    ])
  )
}

const interfaceOf: Readonly<Record<string, readonly [from: string, name: string]>> = Object.fromEntries(
  [
    ['v1', ['Namespace', 'ConfigMap', 'Service', 'ServiceAccount']],
    ['apps/v1', ['Deployment']],
    ['batch/v1', ['Job']],
    ['policy/v1', ['PodDisruptionBudget']],
    ['autoscaling/v2', ['HorizontalPodAutoscaler']],
    ['networking.k8s.io/v1', ['NetworkPolicy']],
    ['keda.sh/v1alpha1', ['ScaledObject', 'TriggerAuthentication']]
  ].flatMap(([version, kinds]) =>
    (kinds as readonly string[]).map((kind) => {
      const from = version === 'keda.sh/v1alpha1' ? '@kubernetes-models/keda' : 'kubernetes-models'
      return [`${String(version)} ${kind}`, [`${from}/${String(version)}`, kind] as const]
    })
  )
)
const modelOf = ({ apiVersion, kind }: Manifest): readonly [from: string, name: string] => {
  const found = interfaceOf[`${apiVersion} ${kind}`]
  if (found === undefined) throw new Error(`no schema for ${apiVersion} ${kind}`)
  return found
}

/** Complaints of the compiler about `objects` as literals of their types: that finds fields which do not exist. */
function typeProblems(objects: readonly Manifest[]): string {
  // Outside of the tree: another compiler may be looking at it now.
  const folder = mkdtempSync(join(tmpdir(), 'millrace-manifests-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  symlinkSync(join(root, 'scripts/node_modules'), join(folder, 'node_modules'))
  const models = [...new Set(objects.map((object) => modelOf(object).join(' ')))].map((each) => each.split(' '))
  const lines = [
    ...models.map(([from, name]) => `import type { I${name} } from '${from}'`),
    ...objects.map((object, index) => `export const x${index}: I${modelOf(object)[1]} = ${JSON.stringify(object)}`)
  ]
  writeFileSync(join(folder, 'manifests.ts'), `${lines.join('\n')}\n`)
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'esnext',
    '--types',
    ''
  ]
  const { stdout } = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    ['--ignoreConfig', ...options, join(folder, 'manifests.ts')],
    {
      encoding: 'utf8',
      cwd: root
    }
  )
  return stdout.replaceAll(/^.*manifests\.ts/gm, 'manifests.ts')
}

describe('infra/k8s', () => {
  it('has only fields that Kubernetes and KEDA know, with values of their types', () => {
    const all = [...rendered.values()].flat()
    expect(typeProblems(all)).toBe('')
    const typo = structuredClone(find(base, 'Deployment', 'gateway')) as unknown as { spec: Record<string, unknown> }
    typo.spec['replica'] = 3
    expect(typeProblems([typo as unknown as Manifest])).toContain('"replica"')
  }, 60_000)

  it.each(folders)('%s passes the schemas of Kubernetes and KEDA', async (folder) => {
    for (const object of rendered.get(folder) ?? []) {
      const [from, name] = modelOf(object)
      // The class of a kind, made of its published schema.
      const models = (await import(from)) as Record<string, new (data: Manifest) => { validate(): void }>
      const Model = models[name]
      if (Model === undefined) throw new Error(`${from} has no ${name}`)
      expect(() => new Model(object).validate(), `${object.kind} ${object.metadata.name}`).not.toThrow()
    }
  })

  it.each(serviceNames)(
    'runs %s on its port, with settings that it declares and all that it requires',
    async (name) => {
      for (const objects of rendered.values()) {
        const deployment = find(objects, 'Deployment', name)
        const given = environment(objects, deployment)
        expect(await settingsProblems(name, given)).toEqual([])
        expect(given['PORT']).toBe(String(listed(name).port))
        expect(containerOf(deployment).ports).toEqual([{ name: 'http', containerPort: listed(name).port }])
        expect(find(objects, 'Service', name)).toMatchObject({
          spec: { clusterIP: 'None', ports: [{ port: listed(name).port, targetPort: 'http' }] }
        })
        expect(podOf(deployment).spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(await stopMs(name, given))
      }
    }
  )

  it.each(serviceNames)('asks %s whether it lives, bounds it, spreads it, and lets it do nothing else', (name) => {
    const deployment = find(base, 'Deployment', name)
    const { labels } = podOf(deployment).metadata
    const pod = podOf(deployment).spec
    const container = containerOf(deployment)
    expect(container).toMatchObject({
      startupProbe: { httpGet: { path: '/livez', port: 'http' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'http' } },
      livenessProbe: { httpGet: { path: '/livez', port: 'http' } },
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] }
      }
    })
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(pod.automountServiceAccountToken).toBe(false)
    expect(pod.topologySpreadConstraints).toHaveLength(2)
    expect(Object.keys(container.resources.requests)).toEqual(['cpu', 'memory'])
    const heapMiB = Number(/=(\d+)/.exec(environment(base, deployment)['NODE_OPTIONS'] ?? '')?.[1])
    expect(heapMiB).toBeLessThanOrEqual(mebibytes(container.resources.limits['memory'] ?? '') * 0.7)
    expect(find(base, 'PodDisruptionBudget', name)).toMatchObject({
      spec: { selector: { matchLabels: { 'app.kubernetes.io/name': name } } }
    })
    expect(labels['app.kubernetes.io/name']).toBe(name)
  })

  it('scales what serves HTTP by CPU, and every consumer group by its own lag', () => {
    for (const { name, group } of serviceNames.map(listed)) {
      const kinds = base.filter(({ metadata }) => metadata.name === name).map(({ kind }) => kind)
      if (group !== undefined) {
        expect(kinds).toContain('ScaledObject')
        expect(find(base, 'ScaledObject', name)).toMatchObject({
          spec: { scaleTargetRef: { name }, triggers: [{ type: 'kafka', metadata: { consumerGroup: group } }] }
        })
      }
      expect(kinds.includes('HorizontalPodAutoscaler')).toBe(['gateway', 'query', 'realtime'].includes(name))
    }
    // A count beside an autoscaler would undo its work with every apply.
    const scaled = base.filter(({ kind }) => /Autoscaler|ScaledObject/.test(kind)).map(({ metadata }) => metadata.name)
    const counted = base.filter((each) => each.kind === 'Deployment' && 'replicas' in (each['spec'] as object))
    expect(counted.map(({ metadata }) => metadata.name).filter((name) => scaled.includes(name))).toEqual([])
    const autoscalers = (rendered.get('overlays/small') ?? []).filter(({ kind }) =>
      /Autoscaler|ScaledObject/.test(kind)
    )
    expect(autoscalers).toEqual([])
  })

  it('lets a pod reach the stores that its settings name, and no other', () => {
    const needs = {
      kafka: /^KAFKA_BROKERS$/,
      postgres: /^DATABASE_/,
      redis: /^REDIS_/,
      clickhouse: /^CLICKHOUSE_/,
      objects: /^OBJECT_STORE_URL$/
    }
    for (const object of base.filter((each) => containersOf(each).length > 0)) {
      const { labels } = podOf(object).metadata
      const names = Object.keys(environment(base, object))
      for (const [store, setting] of Object.entries(needs)) {
        const needed = names.some((name) => setting.test(name))
        expect([object.metadata.name, store, labels[`millrace.io/needs-${store}`] === 'true']).toEqual([
          object.metadata.name,
          store,
          needed
        ])
        expect(find(base, 'NetworkPolicy', `to-${store}`)).toMatchObject({
          spec: { podSelector: { matchLabels: { [`millrace.io/needs-${store}`]: 'true' } } }
        })
      }
    }
    expect(find(base, 'NetworkPolicy', 'nothing-by-default')).toMatchObject({
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }
    })
  })

  it('takes every secret by reference', () => {
    const isSecret = /^(DATABASE|REDIS|CLICKHOUSE|OBJECT_STORE).*_URL|PASSWORD|PEPPER|TOKEN/
    const literal = [...rendered.values()]
      .flat()
      .flatMap((object) =>
        containersOf(object).flatMap((container) =>
          ((container as unknown as Container).env ?? [])
            .filter(({ name, valueFrom }) => isSecret.test(name) && valueFrom?.secretKeyRef?.name !== 'millrace')
            .map(({ name }) => `${object.metadata.name}.${name}`)
        )
      )
    expect(literal).toEqual([])
    expect([...rendered.values()].flat().filter(({ kind }) => kind === 'Secret')).toEqual([])
    const keys = new Set(
      base
        .flatMap(containersOf)
        .flatMap((each) =>
          ((each as unknown as Container).env ?? []).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef?.key ?? [])
        )
    )
    const text = readFileSync(join(root, 'docs/deployment.md'), 'utf8')
    expect([...keys].filter((key) => !text.includes(`--from-literal=${key}=`))).toEqual([])
  })

  it('pins images, uses the same as docker-compose.yml, and mounts ConfigMaps that exist', () => {
    const images = base.flatMap(containersOf).map(({ image }) => String(image))
    expect(images.filter((image) => !/:v?\d+\.\d+(\.\d+)+([.-][\w.-]+)?$/.test(image))).toEqual([])
    const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8').replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')
    expect(images.filter((image) => !compose.includes(`image: ${image}\n`))).toEqual([])
    const mounted = base
      .filter((each) => containersOf(each).length > 0)
      .flatMap((each) => podOf(each).spec.volumes.flatMap(({ configMap }) => configMap?.name ?? []))
    for (const name of mounted) expect(find(base, 'ConfigMap', name).kind).toBe('ConfigMap')
  })
})

function mebibytes(memory: string): number {
  const amount = Number.parseFloat(memory)
  return memory.endsWith('Gi') ? amount * 1024 : amount
}
