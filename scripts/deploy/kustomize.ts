// What `kubectl kustomize` makes of a folder, for the part of kustomize that infra/k8s uses: resources, namespace,
// labels, images, patches by strategic merge, files as ConfigMaps. Anything else in a kustomization.yaml is an error, so
// that a test never passes on what it did not understand. Names of generated ConfigMaps stay without their hash.
import { readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

/** One object of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels }
  readonly [field: string]: unknown
}

export type Labels = Readonly<Record<string, string>>
type Tree = { [field: string]: unknown }

interface Kustomization {
  readonly resources?: readonly string[]
  readonly namespace?: string
  readonly labels?: readonly { readonly pairs: Labels; readonly includeTemplates?: boolean }[]
  readonly patches?: readonly { readonly path: string; readonly target?: PatchTarget }[]
  readonly images?: readonly { readonly name: string; readonly newName?: string; readonly newTag?: string }[]
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: readonly string[] }[]
}

interface PatchTarget {
  readonly kind?: string
  readonly name?: string
  /** `label!=value` alone. */
  readonly labelSelector?: string
}

const understood = ['resources', 'namespace', 'labels', 'patches', 'images', 'configMapGenerator']

/** The objects of the kustomization in `folder`. Throws for whatever this file does not understand, and for a patch that hits nothing. */
export function renderKustomization(folder: string): readonly Manifest[] {
  const file = join(folder, 'kustomization.yaml')
  const { apiVersion: _version, kind: _kind, ...fields } = parse(readFileSync(file, 'utf8')) as Tree
  const unknown = Object.keys(fields).filter((field) => !understood.includes(field))
  if (unknown.length > 0) throw new Error(`${file}: ${unknown.join(', ')} is not understood here`)
  const wanted = fields as Kustomization
  let objects = (wanted.resources ?? []).flatMap((path) => readResource(resolve(folder, path)))
  objects.push(...(wanted.configMapGenerator ?? []).map((each) => generateConfigMap(folder, each)))
  for (const { path, target } of wanted.patches ?? []) {
    const patch = parse(readFileSync(join(folder, path), 'utf8')) as Tree
    objects = patchAll(objects, patch, target, join(folder, path))
  }
  for (const object of objects) {
    if (wanted.namespace !== undefined && !clusterWide.has(object.kind)) setNamespace(object, wanted.namespace)
    for (const { pairs, includeTemplates = false } of wanted.labels ?? []) addLabels(object, pairs, includeTemplates)
  }
  setImages(objects, wanted.images ?? [])
  return objects
}

const clusterWide = new Set(['Namespace'])

function readResource(path: string): Manifest[] {
  if (statSync(path).isDirectory()) return [...renderKustomization(path)]
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`)
    return document.toJS() as Manifest
  })
}

function generateConfigMap(folder: string, { name, files }: { name: string; files: readonly string[] }): Manifest {
  const data = files.map((entry) => {
    const [key = '', path = key] = entry.split('=')
    return [key, readFileSync(join(folder, path), 'utf8')]
  })
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: Object.fromEntries(data) }
}

function patchAll(objects: Manifest[], patch: Tree, target: PatchTarget | undefined, where: string): Manifest[] {
  const { apiVersion: _version, kind, metadata, $patch, ...body } = patch
  const { name } = metadata as { name: string }
  const by: PatchTarget = target ?? { kind: kind as string, name }
  const hit = objects.filter((object) => matches(object, by))
  if (hit.length === 0) throw new Error(`${where} patches nothing`)
  if ($patch === 'delete') return objects.filter((object) => !hit.includes(object))
  for (const object of hit) mergeInto(object, structuredClone(body))
  return objects
}

function matches({ kind, metadata }: Manifest, target: PatchTarget): boolean {
  if (target.kind !== undefined && target.kind !== kind) return false
  if (target.name !== undefined && target.name !== metadata.name) return false
  if (target.labelSelector === undefined) return true
  const [label, value] = target.labelSelector.split('!=')
  if (label === undefined || value === undefined) throw new Error(`${target.labelSelector} is not understood here`)
  return metadata.labels?.[label] !== value
}

/** Maps are merged, lists of named things by their name, everything else is replaced. */
function mergeInto(into: Tree, patch: Tree): void {
  for (const [field, value] of Object.entries(patch)) {
    const before = into[field]
    if (isTree(before) && isTree(value)) mergeInto(before, value)
    else if (isNamed(before) && isNamed(value)) into[field] = mergeNamed(before, value)
    else into[field] = value
  }
}

function mergeNamed(before: readonly Tree[], patch: readonly Tree[]): readonly Tree[] {
  const merged = before.map((item) => {
    const change = patch.find(({ name }) => name === item['name'])
    if (change !== undefined) mergeInto(item, change)
    return item
  })
  return [...merged, ...patch.filter(({ name }) => !before.some((item) => item['name'] === name))]
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNamed(value: unknown): value is Tree[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => isTree(item) && 'name' in item)
}

function setNamespace(object: Manifest, namespace: string): void {
  mergeInto(object, { metadata: { namespace } })
}

function addLabels(object: Manifest, labels: Labels, includeTemplates: boolean): void {
  mergeInto(object, { metadata: { labels: { ...labels } } })
  const { spec } = object as { spec?: { template?: Tree } }
  if (includeTemplates && spec?.template !== undefined)
    mergeInto(spec.template, { metadata: { labels: { ...labels } } })
}

function setImages(objects: readonly Manifest[], images: NonNullable<Kustomization['images']>): void {
  const used = new Set<string>()
  for (const container of objects.flatMap(containersOf)) {
    const entry = images.find(({ name }) => name === container['image'])
    if (entry === undefined) continue
    used.add(entry.name)
    container['image'] = `${entry.newName ?? entry.name}${entry.newTag === undefined ? '' : `:${entry.newTag}`}`
  }
  const unused = images.filter(({ name }) => !used.has(name))
  if (unused.length > 0) throw new Error(`no container has the image ${unused.map(({ name }) => name).join(', ')}`)
}

/** The containers of an object with a pod template. */
export function containersOf(object: Manifest): readonly Tree[] {
  const { spec } = object as { spec?: { template?: { spec?: { containers?: readonly Tree[] } } } }
  return spec?.template?.spec?.containers ?? []
}

/** The folder of this repository's manifests. */
export const manifestsFolder = join(dirname(dirname(import.meta.dirname)), 'infra/k8s')
