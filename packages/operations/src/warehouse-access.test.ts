import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { namesMadeBy, splitStatements } from '@millrace/stores/sql-statements'
import { schemasFolder } from './migrate.ts'
import { accessStatements, rowCondition, warehouseKinds } from './warehouse-access.ts'

const access = {
  database: 'app',
  services: ['millrace', 'default'],
  reader: 'reader',
  readerPassword: 'secret',
  views: 'views',
  viewsPassword: 'nobody knows'
}

const folder = new URL('clickhouse/', schemasFolder)
const statements = readdirSync(folder)
  .sort()
  .flatMap((file) => splitStatements(readFileSync(new URL(file, folder), 'utf8')))
const withProject = statements.filter((each) => /^CREATE TABLE/i.test(each) && /\bprojectId\b/.test(each))
const names = (kind: string): string[] => Object.keys(warehouseKinds).filter((each) => warehouseKinds[each] === kind)

describe('warehouseKinds', () => {
  it('says of everything that the migrations make who may read it', () => {
    expect(Object.keys(warehouseKinds).toSorted()).toEqual([...namesMadeBy(statements)].toSorted())
  })

  it('has every table with a project under a policy', () => {
    expect(names('project').toSorted()).toEqual([...namesMadeBy(withProject)].toSorted())
  })

  it('lets readers name only views that run as another user', () => {
    const last = (view: string): string | undefined =>
      statements.findLast((each) => new RegExp(`^CREATE OR REPLACE VIEW ${view}\\b`).test(each))
    for (const view of names('readable')) expect(last(view)).toContain('SQL SECURITY DEFINER')
  })
})

describe('accessStatements', () => {
  const made = accessStatements(access)

  it('puts a permissive and a restrictive policy of the same condition on every table of projects', () => {
    for (const table of names('project')) {
      const policies = made.filter((each) => each.includes('ROW POLICY') && each.includes(`\`${table}\``))
      expect(policies.map((each) => each.replace(/^.* USING /, ''))).toEqual([
        `${rowCondition(access.services)} AS PERMISSIVE TO ALL`,
        `${rowCondition(access.services)} AS RESTRICTIVE TO ALL`
      ])
    }
  })

  it('grants the reader nothing but the views, after taking everything away', () => {
    const grants = made.filter((each) => /^(GRANT|REVOKE).*`reader`/.test(each))
    expect(grants).toEqual([
      'REVOKE ALL ON *.* FROM `views`, `reader`',
      'GRANT SELECT ON `app`.`events` TO `reader`',
      'GRANT SELECT ON `app`.`events_fresh` TO `reader`',
      'GRANT SELECT ON `app`.`sessions` TO `reader`'
    ])
  })

  it('gives the views to their own user after that user has its rights, and before the reader may name them', () => {
    const at = (text: string): number => made.findIndex((each) => each.includes(text))
    const last = made.findLastIndex((each) => each.includes('ROW POLICY'))
    expect(last).toBeLessThan(at('GRANT SELECT ON `app`.* TO `views`'))
    expect(at('GRANT SELECT ON `app`.* TO `views`')).toBeLessThan(at('MODIFY SQL SECURITY'))
    for (const view of names('readable')) {
      expect(at(`ALTER TABLE \`app\`.\`${view}\``)).toBeLessThan(at(`GRANT SELECT ON \`app\`.\`${view}\``))
    }
  })

  it.each([
    ['a user that is a service and a reader', { reader: 'millrace' }],
    ['a name with a quote', { database: 'a`; DROP' }],
    ['a password with a quote', { readerPassword: "a'b" }],
    ['an empty password', { readerPassword: '' }]
  ])('refuses %s', (_what, over) => {
    expect(() => accessStatements({ ...access, ...over })).toThrow(
      expect.objectContaining({ code: 'PIPE_INVALID_INPUT' })
    )
  })
})
