// Attaches to a terminal with Node's `ws` and prints what it saw, as JSON.
//
// The door's address is the argument, the token is in HARNESS_AUTH_TOKEN.
'use strict'

const { once } = require('node:events')
const WebSocket = require('ws')

const door = process.argv[2]
const token = process.env.HARNESS_AUTH_TOKEN

// The status that an attach with this query is answered with.
function status(query) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(door + query)
    socket.on('open', () => { resolve(101); socket.terminate() })
    socket.on('unexpected-response', (request, response) => { resolve(response.statusCode); request.destroy() })
    socket.on('error', reject)
  })
}

async function open(query, options) {
  const socket = new WebSocket(door + query, options)
  const terminal = { socket, shown: '', binary: false, closed: once(socket, 'close') }
  socket.on('message', (data, binary) => {
    terminal.binary ||= binary
    terminal.shown += data.toString()
    socket.emit('shown')
  })
  await once(socket, 'open')
  return terminal
}

// Waits until the terminal has shown a text; every frame has to be a text.
async function shows(terminal, text) {
  while (!terminal.shown.includes(text)) await once(terminal.socket, 'shown')
  return !terminal.binary
}

async function main() {
  const saw = { without: await status(''), empty: await status('?token='), wrong: await status('?token=wrong') }
  const byHeader = await open('', { headers: { Authorization: `Bearer ${token}` } })
  saw.header = 101
  byHeader.socket.terminate()

  const terminal = await open(`?token=${token}`)
  const { socket } = terminal
  saw.extensions = socket.extensions || null
  socket.send('{"type":"ping"}')
  socket.send(Buffer.from("echo inter''op\r"))
  saw.types = await shows(terminal, 'interop')
  // In fragments, as a client may send any message (RFC 6455 §5.4).
  socket.send(Buffer.from('echo frag'), { binary: true, fin: false })
  socket.send(Buffer.from("men''"), { binary: true, fin: false })
  socket.send(Buffer.from('ted\r'), { binary: true, fin: true })
  saw.fragments = await shows(terminal, 'fragmented')
  socket.send('{"type":"resize","cols":101,"rows":33}')
  socket.send(Buffer.from('stty size\r'))
  saw.resize = await shows(terminal, '33 101')
  const pong = once(socket, 'pong')
  socket.ping('are you there')
  saw.pong = (await pong)[0].toString() === 'are you there'
  socket.send(Buffer.from('exit\r'))
  // 1005 stands for a close frame without a code (RFC 6455 §7.1.5).
  saw.program_ends = (await terminal.closed)[0]

  const long = await open(`?token=${token}`)
  long.socket.send(Buffer.alloc(70 * 1024, 'x'))
  saw.too_long = (await long.closed)[0]

  const closing = await open(`?token=${token}`)
  closing.socket.close(1000, 'done')
  saw.client_closes = (await closing.closed)[0]
  console.log(JSON.stringify(saw))
}

main().catch((error) => { console.error(error); process.exit(1) })
