// What a command works with: where it prints, its environment, and where the running pipeline listens. The only file of
// the tool that turns the environment into settings.
import { join, resolve } from 'node:path'
import { load } from '@millrace/config'
import type { ConfigOf, Spec } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { readEndpoints } from '@millrace/local-stack/endpoints'
import { repositoryRoot } from '@millrace/local-stack/layout'
import type { Terminal } from './output.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Given to every command. */
export interface CliContext {
  readonly terminal: Terminal
  readonly env: Environment
  readonly clock: Clock
}

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean
  readonly dataDir: string
}

/** Where one pipeline keeps its things: `<root>/stack`, `<root>/credentials.json`, `<root>/secrets.json`. */
export interface DataFolder {
  readonly root: string
  readonly stack: string
  readonly credentials: string
  readonly secrets: string
}

/** The data folder of `npm start`. */
export const defaultDataDir = join(repositoryRoot, '.millrace')

/** The places below `dataDir`. */
export function dataFolder(dataDir: string): DataFolder {
  const root = resolve(dataDir)
  return {
    root,
    stack: join(root, 'stack'),
    credentials: join(root, 'credentials.json'),
    secrets: join(root, 'secrets.json')
  }
}

/**
 * The settings of `spec`: the environment first, then the endpoints that the stack of `dataDir` wrote. Throws
 * PIPE_STACK when there is no stack and the environment alone is not enough, PIPE_CONFIG_INVALID for wrong values.
 */
export function settings<S extends Spec>(context: CliContext, dataDir: string, spec: S): ConfigOf<S> {
  const { stack } = dataFolder(dataDir)
  const endpoints = readEndpoints(stack)
  const given = Object.entries(context.env).filter(([, value]) => value !== undefined && value !== '')
  const env = { ...endpoints, ...Object.fromEntries(given) }
  if (endpoints === undefined) {
    const missing = Object.entries(spec).filter(([name, field]) => field.default === undefined && !(name in env))
    if (missing.length > 0) {
      const names = missing.map(([name]) => name).join(', ')
      throw new AppError(
        'PIPE_STACK',
        `there is no stack in ${stack}: run \`npm start\` or \`npx millrace stack up\`, or set ${names}`
      )
    }
  }
  return load(spec, env)
}
