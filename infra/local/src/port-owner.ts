// Who listens on a port, read from /proc. Only for messages: where /proc does not tell, the answer is undefined.
import { readFile, readdir, readlink } from 'node:fs/promises'

export interface PortOwner {
  readonly pid: number
  /** The command line, cut to a readable length. */
  readonly command: string
}

const listening = '0A'

/** The process that listens on local port `port`, if the system tells. */
export async function portOwner(port: number): Promise<PortOwner | undefined> {
  const inodes = new Set<string>()
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const table = await readFile(file, 'utf8').catch(() => '')
    for (const inode of listeningInodes(table, port)) inodes.add(inode)
  }
  if (inodes.size === 0) return undefined
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || !(await holdsSocket(entry, inodes))) continue
    const command = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')
    return { pid: Number(entry), command: command.replaceAll('\0', ' ').trim().slice(0, 80) }
  }
  return undefined
}

/** Socket inodes that listen on `port`, out of the text of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string, port: number): readonly string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes: string[] = []
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    const inode = fields[9]
    if (fields[1]?.endsWith(`:${wanted}`) && fields[3] === listening && inode !== undefined) inodes.push(inode)
  }
  return inodes
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}
