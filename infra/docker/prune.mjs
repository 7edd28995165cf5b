// Run while an image is built: of packages/, services/ and infra/ only what one service needs stays, so that an image
// holds no code that its process cannot reach. Plain JavaScript on purpose: nothing is installed yet when it runs.
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = process.argv[3] ?? '.'
const wanted = `@millrace/${process.argv[2] ?? ''}`
const folders = ['packages', 'services', 'infra'].flatMap((parent) =>
  existsSync(join(root, parent)) ? readdirSync(join(root, parent)).map((name) => `${parent}/${name}`) : []
)
const manifests = new Map()
for (const folder of folders) {
  const file = join(root, folder, 'package.json')
  if (!existsSync(file)) continue
  const manifest = JSON.parse(readFileSync(file, 'utf8'))
  manifests.set(manifest.name, { folder, dependencies: Object.keys(manifest.dependencies ?? {}) })
}
if (!manifests.get(wanted)?.folder.startsWith('services/')) {
  const services = folders.filter((folder) => folder.startsWith('services/')).map((folder) => folder.slice(9))
  process.stderr.write(`there is no service '${process.argv[2] ?? ''}': SERVICE is one of ${services.join(', ')}\n`)
  process.exit(1)
}
const needed = new Set()
const visit = (name) => {
  const found = manifests.get(name)
  if (found === undefined || needed.has(name)) return
  needed.add(name)
  for (const dependency of found.dependencies) visit(dependency)
}
visit(wanted)
for (const [name, { folder }] of manifests) if (!needed.has(name)) rmSync(join(root, folder), { recursive: true })
process.stdout.write(`${wanted} with ${[...needed].slice(1).join(', ')}\n`)
