// Where the test stack listens. `npm test` starts it; MILLRACE_TEST_ENDPOINTS points single runs at another one.
import { readFileSync } from 'node:fs'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { layout, testDataDir } from '@millrace/local-stack/layout'

export type { Endpoints }

/** The file that holds the endpoints of the test stack as JSON, named like the services' environment variables. */
export function testEndpointsFile(): string {
  return process.env['MILLRACE_TEST_ENDPOINTS'] ?? layout.endpoints(testDataDir)
}

/** The endpoints of the test stack; throws when there is none (require-stack.ts has failed the run before that). */
export function testEndpoints(): Endpoints {
  // The launcher wrote this file from a value of this type.
  return JSON.parse(readFileSync(testEndpointsFile(), 'utf8')) as Endpoints
}
