// The JavaScript side of TestJSZMQ, the same in a browser and in node: one
// socket of each type, each connected to its partner. What a socket receives it
// reports on a PUSH of its own, its type first.
const zmq = require('jszmq')
const { Buffer } = require('buffer')

function start(base, elsewhere) {
  const open = (type, options) => {
    const s = zmq.socket(type)
    Object.assign(s.options, options)
    return s
  }
  const results = open('push')
  results.connect(base + '/results')
  const report = (...frames) => results.send(frames)

  // heard connects a socket, and has what it receives reported and answered.
  const heard = (type, options, answer) => {
    const s = open(type, options)
    s.on('message', (...frames) => {
      report(type, ...frames)
      answer?.(s, frames)
    })
    s.connect(base + '/' + type)
    return s
  }
  const again = (s, frames) => s.send(['re', ...frames])

  heard('rep', {}, again)
  heard('pair', {}, again)
  heard('pull', {})
  heard('dealer', { routingId: 'js dealer' }, again).send('hello')
  heard('router', { routingId: 'js router' }, (s, [id, ...frames]) => s.send([id, 're', ...frames]))
  heard('sub', {}).subscribe('a')
  // Who subscribes is sent a message of that topic.
  heard('xpub', {}, (s, [subscription]) => s.send([subscription.slice(1), Buffer.from('published')]))
  // A request is what the last reply was, after one to begin with.
  heard('req', {}, (s, frames) => s.send(frames)).send('first')

  if (elsewhere) {
    const ws = new WebSocket(elsewhere, ['ZWS2.0'])
    ws.onopen = () => report('elsewhere', 'open')
    ws.onerror = () => report('elsewhere', 'refused')
  }
}

module.exports = { start, zmq }
