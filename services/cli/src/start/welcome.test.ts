import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { curlLines, welcome } from './welcome.ts'
import type { Running } from './welcome.ts'

const running: Running = {
  credentials: { projectId: 'demo', writeKey: 'mr_w_abc', secretKey: 'mr_s_abc', adminToken: 'mr_a_abc' },
  credentialsFile: '.millrace/credentials.json',
  gatewayUrl: 'http://127.0.0.1:4001',
  queryUrl: 'http://127.0.0.1:4002',
  liveUrl: 'http://127.0.0.1:4003',
  services: [
    { name: 'gateway', url: 'http://127.0.0.1:4001', logFile: 'g.log' },
    { name: 'query', url: 'http://127.0.0.1:4002', logFile: 'q.log' }
  ],
  logFolder: '.millrace/stack/logs',
  tookMs: 9_812,
  eventId: 'first-1'
}

/** The arguments that a shell hands to curl for a pasted line. */
function pasted(line: string): string[] {
  const { stdout } = spawnSync('sh', ['-c', `curl() { printf '%s\\n' "$@"; }; ${line}`], { encoding: 'utf8' })
  return stdout.trimEnd().split('\n')
}

describe('curlLines', () => {
  it('survives the shell: one event with the write key, as JSON', () => {
    const args = pasted(curlLines(running).send)
    expect(args.slice(0, -1)).toEqual([
      '-sS',
      'http://127.0.0.1:4001/v1/events',
      '-H',
      'Authorization: Bearer mr_w_abc',
      '-H',
      'Content-Type: application/json',
      '-d'
    ])
    expect(JSON.parse(args.at(-1) ?? '')).toEqual({
      eventId: 'first-1',
      eventType: 'signup',
      userId: 'ada',
      properties: { plan: 'pro' }
    })
  })

  it('asks with the secret key', () => {
    expect(pasted(curlLines(running).count)).toEqual([
      '-sS',
      '-G',
      'http://127.0.0.1:4002/v1/query',
      '-H',
      'Authorization: Bearer mr_s_abc',
      '--data-urlencode',
      'sql=SELECT count() FROM events'
    ])
  })
})

describe('welcome', () => {
  it('names every service, the keys, the logs and the lines to paste', () => {
    const text = welcome(running, false)
    const { send, count, byType } = curlLines(running)
    for (const part of [
      'ready in 9.8 s',
      '  gateway  http://127.0.0.1:4001',
      '.millrace/credentials.json',
      '  http://127.0.0.1:4003\n',
      send,
      count,
      byType
    ]) {
      expect(text).toContain(part)
    }
    expect(text).not.toContain('\u001b')
  })
})
