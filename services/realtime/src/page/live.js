// The live page: one connection, five subscriptions, and values that are kept by their highest revision. Everything that
// comes from events is put in as text, never as HTML.
const demo = document.body.dataset.demo !== ''
const show = (id) => document.getElementById(id)
const number = new Intl.NumberFormat('en')
const minuteMs = 60_000

const subscriptions = [
  { id: 'events', to: 'metrics', metric: 'events', windows: 60 },
  { id: 'types', to: 'metrics', metric: 'events', dimension: '*', windows: 10 },
  { id: 'users', to: 'metrics', metric: 'active_users', windows: 2 },
  { id: 'recent', to: 'events' },
  { id: 'sessions', to: 'sessions' }
]
const state = { events: new Map(), types: new Map(), users: new Map(), recent: [], sessions: new Map() }

let channels = new Map()
let stale = new Set()
let attempts = 0

function setStatus(name, text) {
  show('status').dataset.state = name
  show('status').textContent = text
}

async function ticketOf() {
  if (!demo) {
    const ticket = new URLSearchParams(location.hash.slice(1)).get('ticket')
    // A ticket is good once: the next connection needs another one.
    history.replaceState(undefined, '', location.pathname)
    return ticket
  }
  const response = await fetch('demo/ticket', { method: 'POST', headers: { 'x-millrace-page': 'live' } })
  if (!response.ok) throw new Error(`no ticket: ${response.status}`)
  return (await response.json()).ticket
}

async function connect() {
  let ticket
  try {
    ticket = await ticketOf()
  } catch {
    return later()
  }
  if (ticket === null) {
    show('help').hidden = false
    return setStatus('away', 'a ticket is needed')
  }
  const url = new URL('realtime', location.href)
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  url.search = `?ticket=${encodeURIComponent(ticket)}`
  url.hash = ''
  const socket = new WebSocket(url)
  socket.addEventListener('open', () => {
    channels = new Map()
    stale = new Set()
    for (const subscription of subscriptions) socket.send(JSON.stringify({ type: 'subscribe', ...subscription }))
  })
  socket.addEventListener('message', ({ data }) => take(JSON.parse(data)))
  socket.addEventListener('close', ({ code, reason }) => later(code === 1012 ? waitIn(reason) : undefined))
}

function waitIn(reason) {
  try {
    return JSON.parse(reason).reconnectAfterMs
  } catch {
    return undefined
  }
}

/** Connects again after a wait that grows and differs between pages. */
function later(waitMs) {
  setStatus('away', 'not connected')
  const backoff = Math.min(30_000, 500 * 2 ** attempts++) * (0.5 + Math.random())
  if (demo) setTimeout(() => void connect(), waitMs ?? backoff)
  else show('help').hidden = false
}

function take(message) {
  switch (message.type) {
    case 'welcome':
      attempts = 0
      show('project').textContent = message.project
      return setStatus('live', 'live')
    case 'subscribed':
      return void channels.set(message.channel, message.id)
    case 'snapshot':
      reset(channels.get(message.channel))
      add(channels.get(message.channel), message.data)
      return mark(message)
    case 'delta':
      return add(channels.get(message.channel), message.data)
    case 'stale':
      return mark(message)
  }
}

function mark({ channel, stale: isStale }) {
  if (isStale) stale.add(channel)
  else stale.delete(channel)
  if (stale.size > 0) setStatus('stale', 'connected, but the numbers may be old')
  else setStatus('live', 'live')
}

function reset(id) {
  if (id === 'recent') state.recent = []
  else state[id]?.clear()
}

function add(id, data) {
  if (id === 'recent') state.recent = [...state.recent, ...data].slice(-12)
  else if (id === 'sessions') for (const each of data) state.sessions.set(`${each.sessionId} ${each.startedAt}`, each)
  else for (const each of data) put(state[id], each)
  draw[id]?.()
}

function put(values, value) {
  const key = `${value.timestamp} ${value.dimension ?? ''}`
  const held = values.get(key)
  const [epoch, count] = value.revision
  if (held !== undefined && (held.revision[0] - epoch || held.revision[1] - count) >= 0) return
  values.set(key, value)
}

const thisMinute = () => Date.now() - (Date.now() % minuteMs)
const valueAt = (values, timestamp) => values.get(`${timestamp} `)?.value ?? 0
const text = (id, value) => (show(id).textContent = value)

function rows(table, lines) {
  table.replaceChildren(
    ...lines.map((cells) => {
      const row = document.createElement('tr')
      for (const cell of cells) {
        const made = row.insertCell()
        made.textContent = typeof cell === 'number' ? number.format(cell) : cell
        if (typeof cell === 'number') made.className = 'count'
      }
      return row
    })
  )
}

const draw = {
  events() {
    const now = thisMinute()
    text('events', number.format(valueAt(state.events, now)))
    text('events-before', number.format(valueAt(state.events, now - minuteMs)))
    const minutes = Array.from({ length: 60 }, (_, index) => valueAt(state.events, now - (59 - index) * minuteMs))
    const most = Math.max(1, ...minutes)
    show('chart').replaceChildren(
      ...minutes.map((value) => {
        const bar = document.createElement('i')
        bar.style.height = `${(value / most) * 100}%`
        bar.title = number.format(value)
        return bar
      })
    )
  },
  users() {
    text('users', number.format(valueAt(state.users, thisMinute())))
    text('users-before', number.format(valueAt(state.users, thisMinute() - minuteMs)))
  },
  types() {
    const from = thisMinute() - 9 * minuteMs
    const totals = new Map()
    for (const { timestamp, dimension, value } of state.types.values()) {
      if (timestamp >= from) totals.set(dimension, (totals.get(dimension) ?? 0) + value)
    }
    const top = [...totals].sort(([, a], [, b]) => b - a).slice(0, 8)
    rows(
      show('types'),
      top.map(([dimension, value]) => [dimension === '*' ? 'others' : JSON.parse(dimension).join(', '), value])
    )
  },
  recent() {
    const line = ({ timestamp, eventType, path, deviceType }) => [
      new Date(timestamp).toLocaleTimeString(),
      eventType,
      path || deviceType
    ]
    rows(show('recent'), state.recent.toReversed().map(line))
  },
  sessions() {
    const newest = [...state.sessions.values()].slice(-8).toReversed()
    rows(
      show('sessions'),
      newest.map(({ firstEventAt, lastEventAt, pageViews, totalEvents, entryPage, trafficSource }) => [
        new Date(lastEventAt).toLocaleTimeString(),
        `${Math.round((lastEventAt - firstEventAt) / 1_000)} s`,
        `${pageViews} pages, ${totalEvents} events`,
        entryPage,
        trafficSource
      ])
    )
    for (const key of state.sessions.keys()) {
      if (state.sessions.size <= 100) break
      state.sessions.delete(key)
    }
  }
}

/** A minute begins without a message. */
setInterval(() => {
  draw.events()
  draw.users()
  draw.types()
  const oldest = Date.now() - 61 * minuteMs
  for (const values of [state.events, state.types, state.users])
    for (const [key, { timestamp }] of values) if (timestamp < oldest) values.delete(key)
}, 1_000)

window.ready = true
void connect()
