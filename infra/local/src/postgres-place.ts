// Where PostgreSQL's files lie and which user runs it. It refuses root, so root runs it as the system user `postgres`,
// and that user must be able to reach the folder: below /root, or any other private folder, it cannot. Then the files
// lie in /var/lib/millrace/<stack id>, beside a note of the data folder that they belong to.
import { chown, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@millrace/kernel'
import { layout } from './layout.ts'
import { runCommand } from './system-packages.ts'

export interface PostgresPlace {
  /** Parent of the cluster's folder; PostgreSQL's user may write here. */
  readonly folder: string
  /** Words to put before a command so that it runs as PostgreSQL's user; empty when we are a plain user. */
  readonly asUser: readonly string[]
}

const fallbackRoot = '/var/lib/millrace'
const systemUser = 'postgres'

/** Finds or makes the place of a stack. Throws PIPE_STACK when root has no system user to hand the folder to. */
export async function postgresPlace(dataDir: string, stackId: string): Promise<PostgresPlace> {
  const inside = layout.part(dataDir, 'postgres')
  if (process.getuid?.() !== 0) {
    await mkdir(inside, { recursive: true, mode: 0o700 })
    return { folder: inside, asUser: [] }
  }
  const ids = await idsOf(systemUser)
  const asUser = ['setpriv', `--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--init-groups', '--']
  await mkdir(dataDir, { recursive: true })
  const folder = (await reaches(asUser, dataDir)) ? inside : await fallbackFolder(dataDir, stackId)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chown(folder, ids.uid, ids.gid)
  return { folder, asUser }
}

/** Removes the files that lie outside of the data folder, if there are any. */
export async function removeOutsidePlace(dataDir: string, keep?: string): Promise<void> {
  for (const id of await readdir(fallbackRoot).catch(() => [])) {
    const owner = await readFile(join(fallbackRoot, id, 'data-folder'), 'utf8').catch(() => undefined)
    if (owner === dataDir && id !== keep) await rm(join(fallbackRoot, id), { recursive: true, force: true })
  }
}

async function fallbackFolder(dataDir: string, stackId: string): Promise<string> {
  // A data folder that was deleted by hand left its old files here.
  await removeOutsidePlace(dataDir, stackId)
  const folder = join(fallbackRoot, stackId, 'postgres')
  await mkdir(dirname(folder), { recursive: true, mode: 0o755 })
  await writeFile(join(dirname(folder), 'data-folder'), dataDir)
  return folder
}

async function reaches(asUser: readonly string[], folder: string): Promise<boolean> {
  const [file = '', ...args] = asUser
  return (await runCommand(file, [...args, 'test', '-x', folder])).code === 0
}

async function idsOf(user: string): Promise<{ uid: number; gid: number }> {
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${user}:`))
  const [, , uid, gid] = entry?.split(':') ?? []
  if (uid === undefined || gid === undefined) {
    const message = `PostgreSQL does not run as root and there is no system user '${user}': create it, or use a plain user`
    throw new AppError('PIPE_STACK', message)
  }
  return { uid: Number(uid), gid: Number(gid) }
}
