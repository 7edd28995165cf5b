// Pages of other origins. Any page may ask what it may send; whether its project lets it send is known with the key. The
// reply can be read by every page that got one: it holds nothing that the sender does not know, no credentials are
// involved, and a client that cannot read a refusal would repeat it for ever.

/** Headers of every reply to a request with this Origin, as a flat list of names and values. */
export function corsHeaders(origin: string): readonly string[] {
  return ['access-control-allow-origin', origin, 'access-control-expose-headers', 'retry-after, date', 'vary', 'origin']
}

/** Headers of the reply to a preflight, as a flat list of names and values. */
export function preflightHeaders(origin: string | undefined): readonly string[] {
  return [
    'access-control-allow-origin',
    origin ?? '*',
    'access-control-allow-methods',
    'POST',
    'access-control-allow-headers',
    'authorization, x-api-key, content-type, content-encoding',
    'access-control-max-age',
    '86400',
    'vary',
    'origin, access-control-request-method, access-control-request-headers'
  ]
}
