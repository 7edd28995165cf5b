import { expect, it } from 'vitest'
import { usersXml } from '@millrace/local-stack/clickhouse-engine/users-config'
import { warehouseKinds } from '@millrace/operations/warehouse-access'

it('the local engine filters what a server has policies for, and the dictionaries that no policy can filter', () => {
  const filtered = [...usersXml().matchAll(/<(\w+)><filter>/g)].map(([, table]) => table)
  const held = Object.keys(warehouseKinds).filter((each) => /^(?:project|dictionary)$/.test(warehouseKinds[each] ?? ''))
  expect(filtered.toSorted()).toEqual(held.toSorted())
})
