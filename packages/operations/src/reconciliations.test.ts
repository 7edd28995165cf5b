import { expect, test } from 'vitest'
import { saveReconciliations } from './reconciliations.ts'

test('ids and reasons that jsonb would refuse are kept with another character in that place', async () => {
  const given: unknown[] = []
  const query = async (_text: string, params?: readonly unknown[]) => {
    given.push(params?.[0])
    return []
  }
  const failed = ['no\u0000answer', 'half \uD83D', 'whole 😀'].map((reason, index) => ({
    projectId: `p${index}`,
    reason
  }))
  await saveReconciliations({ query }, { endedMs: 1, projects: [], failed })
  expect(JSON.parse(String(given[0]))).toEqual([
    { project_id: 'p0', failure: 'no\uFFFDanswer' },
    { project_id: 'p1', failure: 'half \uFFFD' },
    { project_id: 'p2', failure: 'whole 😀' }
  ])
})
