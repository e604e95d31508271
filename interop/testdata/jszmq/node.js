// Usage: node node.js URL connects as a page does; node node.js bind has jszmq
// listen, and prints the URL of its sockets.
const http = require('http')
const { start, zmq } = require('./agent')

function bind() {
  const server = http.createServer()
  for (const type of ['rep', 'pair']) {
    const s = zmq.socket(type)
    s.on('message', (...frames) => s.send(['re', ...frames]))
    s.bind('ws://127.0.0.1:1/' + type, server)
    // jszmq takes the first subprotocol it is offered for agreed on, and then
    // speaks ZWS2.0 whatever that was.
    for (const listener of s.binds) listener.server.options.handleProtocols = () => 'ZWS2.0'
  }
  server.listen(0, '127.0.0.1', () => console.log('ws://127.0.0.1:' + server.address().port))
}

process.stdin.resume().on('end', () => process.exit())
if (process.argv[2] === 'bind') bind()
else start(process.argv[2])
