// What `millrace start` prints when everything runs: where things are, and lines to paste.
import type { Credentials } from '../credentials.ts'
import { style } from '../output.ts'

export interface Running {
  readonly credentials: Credentials
  /** Path as a person sees it. */
  readonly credentialsFile: string
  readonly gatewayUrl: string
  readonly queryUrl: string
  /** Address of the page with live numbers. */
  readonly liveUrl: string
  readonly services: readonly { readonly name: string; readonly url: string; readonly logFile: string }[]
  readonly logFolder: string
  readonly tookMs: number
  /** Id of the event in the printed line, so that the first paste is accepted and a second one a duplicate. */
  readonly eventId: string
}

/** The lines to paste: sending an event and asking for it. Each is one line for a POSIX shell. */
export function curlLines({ credentials, gatewayUrl, queryUrl, eventId }: Running): {
  readonly send: string
  readonly count: string
  readonly byType: string
} {
  const event = JSON.stringify({ eventId, eventType: 'signup', userId: 'ada', properties: { plan: 'pro' } })
  const ask = (sql: string): string =>
    `curl -sS -G '${queryUrl}/v1/query' -H 'Authorization: Bearer ${credentials.secretKey}' --data-urlencode "sql=${sql}"`
  return {
    send:
      `curl -sS '${gatewayUrl}/v1/events' -H 'Authorization: Bearer ${credentials.writeKey}' ` +
      `-H 'Content-Type: application/json' -d '${event}'`,
    count: ask('SELECT count() FROM events'),
    byType: ask('SELECT eventType, count() AS events FROM events GROUP BY eventType ORDER BY events DESC')
  }
}

/** The whole text. */
export function welcome(running: Running, colour: boolean): string {
  const { send, count, byType } = curlLines(running)
  const title = (text: string): string => style(text, 'bold', colour)
  const width = Math.max(...running.services.map(({ name }) => name.length))
  return [
    '',
    title(`Millrace runs (ready in ${(running.tookMs / 1_000).toFixed(1)} s)`),
    ...running.services.map(({ name, url }) => `  ${name.padEnd(width)}  ${url}`),
    `  keys of project ${running.credentials.projectId}: ${running.credentialsFile}`,
    `  logs: ${running.logFolder}`,
    '',
    title('Watch it live'),
    `  ${running.liveUrl}`,
    '',
    title('Send an event'),
    `  ${send}`,
    '',
    title('Count the events, a second later'),
    `  ${count}`,
    '',
    title('Events by type'),
    `  ${byType}`,
    '',
    'Ctrl-C stops everything; the data stays. `npx millrace --help` shows what else there is.',
    ''
  ].join('\n')
}
