// The disk of Kafka is full under load: it stops, nothing new is acknowledged, and with room again all is there that was.
// The disk is a small tmpfs of this case, so it needs the right to mount one.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { layout } from '@millrace/local-stack/layout'
import { startStack } from '@millrace/local-stack/stack'
import type { Stack } from '@millrace/local-stack/stack'
import { stackWipe } from '@millrace/local-stack/stack-control'
import { eventually } from '../../eventually.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { openRig } from './rig.ts'

const diskMiB = 96
const leftBytes = 1024 * 1024

export const diskFull: FaultCase = {
  name: 'disk-full',
  title: `Kafka on a disk of ${diskMiB} MiB that gets full under load, and has room again`,
  counters: ['no space left', 'turned away meanwhile', 'repeat recognised'],
  async run(context) {
    const dataDir = join(context.folder, 'stack')
    const disk = layout.part(dataDir, 'kafka')
    mkdirSync(disk, { recursive: true })
    run('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', disk])
    await using cleaning = new AsyncDisposableStack()
    cleaning.defer(() => stackWipe(dataDir))
    // Lazily: whatever still has the folder open keeps the disk, not the folder.
    cleaning.defer(() => run('umount', ['--lazy', disk]))
    await using stack = await startStack({ dataDir, ports: 'ephemeral', signal: context.signal })
    return await hurt({ ...context, stack }, disk)
  }
}

async function hurt(context: CaseContext, disk: string): Promise<Verdict> {
  const { counters, stack, say } = context
  await using rig = await openRig(context)
  await rig.traffic.moves(1_000)
  const filler = join(disk, 'filler')
  await fill(filler, disk)
  say('the disk is nearly full')
  const full = (): boolean => readFileSync(stack.part('kafka').logFile, 'utf8').includes('No space left on device')
  await eventually('Kafka to say that there is no space', full, { timeoutMs: 60_000 })
  counters.count('no space left')
  const before = rig.traffic.load.counts()
  const away = (): boolean => rig.traffic.load.counts().attempts > before.attempts + 200
  await eventually('200 more attempts', away, { timeoutMs: 60_000 })
  rmSync(filler)
  await ended(stack)
  await stack.restart('kafka')
  rig.over()
  say('the disk has room again')
  await rig.traffic.moves(1_000)
  const verdict = await rig.judge({
    further(ledger) {
      counters.count('turned away meanwhile', ledger.filter(({ status }) => status >= 500).length)
      return []
    }
  })
  counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
  return verdict
}

/** Takes the room of the disk but for about a megabyte. */
async function fill(file: string, disk: string): Promise<void> {
  const { bavail, bsize } = statfsSync(disk)
  await writeFile(file, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)))
}

/** A broker without a usable disk ends by itself; one that did not is ended, as its supervisor would. */
async function ended(stack: Stack): Promise<void> {
  const gone = (): boolean => stack.part('kafka').pid === undefined
  await eventually('Kafka to end', gone, { timeoutMs: 10_000 }).catch(() => stack.kill('kafka', 'SIGKILL'))
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || status}`)
}
