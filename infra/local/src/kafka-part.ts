// Kafka as parts: each a KRaft node on a JRE, its settings written anew before every start.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@millrace/kernel'
import { kafkaJars, kafkaLogSettings } from './kafka-jars.ts'
import { kafkaProperties } from './kafka-properties.ts'
import type { KafkaNode } from './kafka-properties.ts'
import { kafkaAnswers } from './kafka-ready.ts'
import { layout } from './layout.ts'
import { exists, partialOf } from './partial.ts'
import { brokerNames } from './part.ts'
import type { BrokerName, Part } from './part.ts'
import type { PartContext } from './parts.ts'
import { runTool } from './run-tool.ts'

/** The brokers of the stack, the last one first; with several each is a controller too. */
export function createKafkaParts(context: PartContext): readonly Part[] {
  const { ports, kafka } = context
  const nodes = brokerNames.slice(0, kafka.brokers).map((name, index): NamedNode => {
    const [port, controllerPort] = [ports[name], ports[`${name}-controller`]]
    if (port === undefined || controllerPort === undefined) throw new AppError('PIPE_STACK', `${name} has no port`)
    return { name, id: index + 1, port, controllerPort, advertisedPort: kafka.advertisedPorts?.[index] }
  })
  return nodes.map((node) => createKafkaPart(context, node, nodes)).toReversed()
}

interface NamedNode extends KafkaNode {
  readonly name: BrokerName
}

function createKafkaPart(
  { dataDir, kafka: { clusterId }, log }: PartContext,
  node: NamedNode,
  nodes: readonly NamedNode[]
): Part {
  const { name, id, port, controllerPort } = node
  const folder = layout.part(dataDir, name)
  const dataFolder = join(folder, 'data')
  const settings = join(folder, 'server.properties')
  return {
    name,
    port,
    ports: { [name]: port, [`${name}-controller`]: controllerPort },
    stopSignal: 'SIGTERM',
    startTimeoutMs: nodes.length === 1 ? 60_000 : 120_000,
    stopTimeoutMs: 15_000,
    startAttempts: 1,
    async prepare(signal) {
      const jars = await kafkaJars({ log, signal })
      const classPath = join(jars, '*')
      await mkdir(folder, { recursive: true })
      if (!(await exists(dataFolder))) await format({ dataFolder, node, nodes, clusterId, classPath, signal })
      await writeFile(settings, kafkaProperties({ node, nodes, dataFolder }))
      const heap = ['-Xms128m', `-Xmx${nodes.length === 1 ? 512 : 384}m`, '-XX:+ExitOnOutOfMemoryError']
      const logging = [`-Dlog4j2.configurationFile=${kafkaLogSettings}`]
      return {
        file: 'java',
        args: [...heap, ...logging, '-cp', classPath, 'kafka.Kafka', settings],
        cwd: folder
      }
    },
    answers: () => kafkaAnswers(port, id)
  }
}

interface FormatOptions {
  readonly dataFolder: string
  readonly node: KafkaNode
  readonly nodes: readonly KafkaNode[]
  readonly clusterId: string
  readonly classPath: string
  readonly signal: AbortSignal
}

/** Makes the broker's folder aside and renames it when complete: half a format is never taken for a whole one. */
async function format({ dataFolder, node, nodes, clusterId, classPath, signal }: FormatOptions): Promise<void> {
  const partial = await partialOf(dataFolder)
  // Named after the folder: the tool of a launcher that was killed may still be about to read its own.
  const settings = `${partial}.properties`
  await writeFile(settings, kafkaProperties({ node, nodes, dataFolder: partial }))
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', settings]
  await runTool('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, ...tool], { signal })
  await rename(partial, dataFolder)
  await rm(settings)
}
