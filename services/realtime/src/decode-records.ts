// Records of the three kinds of topics as values for those who watch. What is broken is counted and left out: the log is
// the truth elsewhere, here it is shown.
import { decodeMetric, decodeSession, projectOfTopic, readProcessedEvent, replayHeader } from '@millrace/contracts'
import type { MetricMessage, ProcessedEvent, SessionMessage } from '@millrace/contracts'
import type { KafkaRecord } from '@millrace/kafka'
import type { TopicWatchOptions } from './topic-watch.ts'

type Decode<T> = TopicWatchOptions<T>['decode']

export interface Decoders {
  readonly metrics: Decode<MetricMessage>
  readonly sessions: Decode<SessionMessage>
  readonly events: Decode<ProcessedEvent>
}

/** The decoders; `onBroken` is told of each record that is not what its topic holds. */
export function createDecoders(onBroken: () => void): Decoders {
  const events = ofProject(readProcessedEvent, onBroken)
  return {
    metrics(record, isWatched) {
      const route = projectOfKey(record.key)
      if (route === undefined || !isWatched(route)) return undefined
      const value = decodeMetric(record.value)
      if (value === undefined || value.project !== route) return broken(onBroken)
      return { route, value }
    },
    sessions: ofProject(decodeSession, onBroken),
    events: (record, isWatched) => (record.headers[replayHeader] === undefined ? events(record, isWatched) : undefined)
  }
}

/** Topics of one project: its name says whom the record concerns. */
function ofProject<T>(read: (value: Buffer | null) => T | undefined, onBroken: () => void): Decode<T> {
  return (record) => {
    const route = projectOfTopic(record.topic)
    const value = read(record.value)
    if (route === undefined || value === undefined) return broken(onBroken)
    return { route, value }
  }
}

/** Metric topics hold all projects; the key begins with the project, so that others cost no JSON. */
function projectOfKey(key: KafkaRecord['key']): string | undefined {
  const colon = key?.indexOf(colonByte) ?? -1
  return colon < 1 ? undefined : key?.toString('latin1', 0, colon)
}

const colonByte = 0x3a

function broken(onBroken: () => void): undefined {
  onBroken()
  return undefined
}
