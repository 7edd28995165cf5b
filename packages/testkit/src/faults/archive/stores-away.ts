// What the archiver needs goes away: PostgreSQL dies, the disk is full, the object store answers 500 or not at all although
// it stored the file. Nothing is lost or doubled, and the archiver itself stays up.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { systemClock } from '@millrace/kernel'
import { openObjectStore } from '@millrace/stores/object-store'
import { eventually } from '../../eventually.ts'
import { brokenPromises } from '../../object-store-contract.ts'
import { startS3Server } from '../../s3-server.ts'
import type { FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { openArchiveRig } from './rig.ts'
import { openS3Faults } from './s3-faults.ts'

export const postgresKilled: FaultCase = {
  name: 'postgres-killed',
  title: 'PostgreSQL SIGKILLed twice under load and away for a while',
  counters: ['postgres killed', 'a claim had to wait'],
  async run(context) {
    const { counters, stack } = context
    await using rig = await openArchiveRig(context)
    const archiver = await rig.startArchiver()
    for (let kill = 0; kill < 2; kill++) {
      await rig.moves(1_000)
      if (stack.kill('postgres', 'SIGKILL')) counters.count('postgres killed')
      await rig.moves(3_000)
      await stack.restart('postgres')
    }
    const log = readFileSync(archiver.logFile, 'utf8')
    counters.count('a claim had to wait', log.split('PIPE_POSTGRES_UNAVAILABLE').length - 1)
    return ofOneProcess(await rig.judge(), archiver.starts)
  }
}

const diskMiB = 8

export const archiveDiskFull: FaultCase = {
  name: 'disk-full',
  title: `files and files in the making on a disk of ${diskMiB} MiB that gets full under load, and has room again`,
  counters: ['no space left'],
  async run(context) {
    const disk = join(context.folder, 'disk')
    mkdirSync(disk, { recursive: true })
    run('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', disk])
    await using cleaning = new AsyncDisposableStack()
    cleaning.defer(() => run('umount', ['--lazy', disk]))
    await using rig = await openArchiveRig(context, { objectStoreUrl: pathToFileURL(join(disk, 'objects')).href })
    const archiver = await rig.startArchiver({ env: { SPOOL_DIR: join(disk, 'spool') } })
    await rig.moves(1_000)
    const filler = join(disk, 'filler')
    const { bavail, bsize } = statfsSync(disk)
    // The archiver writes meanwhile: what was free may be taken, and then the disk is full all the same.
    await writeFile(filler, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOSPC') throw error
    })
    const full = (): boolean => readFileSync(archiver.logFile, 'utf8').includes('ENOSPC')
    await eventually('the archiver to say that there is no space', full, { timeoutMs: 60_000, intervalMs: 200 })
    context.counters.count('no space left')
    await rig.moves(2_000)
    rmSync(filler)
    await rig.moves(500)
    return ofOneProcess(await rig.judge({ timeoutMs: 120_000 }), archiver.starts)
  }
}

export const objectStoreHurt: FaultCase = {
  name: 's3-hurt',
  title: 'an S3 server that keeps its contract, and answers 500 or never although it stored the file',
  counters: ['500 before storing', '500 after storing', 'no answer after storing', 'stored'],
  async run(context) {
    await using server = await startS3Server(['contract', 'archive'], context)
    const broken = await contractOf(server.url('contract'))
    await using faults = await openS3Faults(server.port)
    const objectStoreUrl = server.url('archive', faults.port)
    await using rig = await openArchiveRig(context, { objectStoreUrl, directUrl: server.url('archive') })
    const archiver = await rig.startArchiver({ env: { OBJECT_STORE_TIMEOUT_MS: '1s' } })
    await eventually('every fault', () => faults.counts().every(([, count]) => count >= 2), { timeoutMs: 120_000 })
    faults.end()
    for (const [name, count] of faults.counts()) context.counters.count(name, count)
    await rig.moves(500)
    const verdict = ofOneProcess(await rig.judge(), archiver.starts)
    if (broken.length === 0) return verdict
    const violation = {
      invariant: 'INV-5',
      problem: 'the S3 driver breaks its contract',
      count: broken.length
    } as const
    return { ...verdict, violations: [...verdict.violations, { ...violation, examples: broken }] }
  }
}

async function contractOf(url: string): Promise<readonly string[]> {
  await using store = openObjectStore({ url, clock: systemClock, timeoutMs: 20_000 })
  return await brokenPromises(store)
}

/** A dependency that is away is a wait, not an end. */
function ofOneProcess(verdict: Verdict, starts: number): Verdict {
  if (starts === 1) return verdict
  const problem = 'the archiver ended instead of waiting'
  const examples = [`${starts} processes`]
  return { ...verdict, violations: [...verdict.violations, { invariant: 'progress', problem, count: 1, examples }] }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || status}`)
}
