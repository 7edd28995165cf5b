// Decides the ports of one start before any part runs: a clash is told at once, with who holds the port.
import { AppError } from '@millrace/kernel'
import { freePorts, isFree } from './listen.ts'
import { portOwner } from './port-owner.ts'
import { defaultPorts, portNamesOf, portVariableOf } from './ports.ts'
import type { PortName, Ports } from './ports.ts'

/** Which ports to take: any free ones, or the defaults with some moved (0 = any free one). */
export type PortChoice = 'ephemeral' | Partial<Record<PortName, number>>

/** The ports of a start with that many brokers. Throws PIPE_STACK that names every port that is taken, its holder and how to move it. */
export async function choosePorts(choice: PortChoice, brokers = 1): Promise<Ports> {
  const portNames = portNamesOf(brokers)
  const wanted = new Map(
    portNames.map((name) => [name, choice === 'ephemeral' ? 0 : (choice[name] ?? defaultPorts[name])])
  )
  const free = [...(await freePorts(portNames.length))]
  const chosen = new Map<PortName, number>()
  const problems: string[] = []
  for (const [name, port] of wanted) {
    const twin = [...wanted].find(([other, value]) => value === port && port !== 0 && other !== name)
    if (port === 0) chosen.set(name, free.pop() ?? 0)
    else if (twin !== undefined) problems.push(`${name} and ${twin[0]} both have port ${port}`)
    else if (await isFree(port)) chosen.set(name, port)
    else problems.push(await clash(name, port))
  }
  if (problems.length > 0) throw new AppError('PIPE_STACK', problems.join('; '))
  return Object.fromEntries(chosen) as Record<PortName, number>
}

async function clash(name: PortName, port: number): Promise<string> {
  const owner = await portOwner(port)
  const holder = owner === undefined ? 'another process' : `process ${owner.pid} (${owner.command})`
  return `port ${port} of ${name} is taken by ${holder}: stop it, or set ${portVariableOf(name)}`
}
