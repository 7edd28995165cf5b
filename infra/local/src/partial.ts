// Folders that are made aside and renamed when complete. The name holds our pid: a tool that outlives a killed launcher
// goes on in a folder that nobody will ever use.
import { access, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { processStartedAt } from './process-identity.ts'

/** A fresh path beside `final` to make it in. What dead launchers left beside it is removed. */
export async function partialOf(final: string): Promise<string> {
  const own = `${final}.${process.pid}.partial`
  for (const name of await readdir(dirname(final)).catch(() => [])) {
    const pid = name.startsWith(`${basename(final)}.`) ? /\.(\d+)\.partial$/.exec(name)?.[1] : undefined
    if (pid === undefined || (Number(pid) !== process.pid && processStartedAt(Number(pid)) !== undefined)) continue
    await rm(join(dirname(final), name), { recursive: true, force: true })
  }
  return own
}

/** Whether there is anything at `path`. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false
  )
}
