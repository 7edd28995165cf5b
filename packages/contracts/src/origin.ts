// Pages of other origins: a project names the origins whose pages may work with it.

/** Whether a page of `origin` may work with a project. A project that names origins is asked alone, else the deployment. */
export function isOriginAllowed(origin: string, ofProject: readonly string[], ofAll: readonly string[]): boolean {
  const allowed = ofProject.length > 0 ? ofProject : ofAll
  return allowed.includes('*') || allowed.includes(origin)
}
