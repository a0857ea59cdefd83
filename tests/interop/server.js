// Plays a terminal with Node's `ws`: prints its port, then serves until it is ended.
//
// What is typed is shown again; Ctrl-D closes with 1000. The token is in HARNESS_AUTH_TOKEN.
'use strict'

const http = require('node:http')
const { WebSocketServer } = require('ws')

const token = process.env.HARNESS_AUTH_TOKEN
const sockets = new WebSocketServer({ noServer: true })
const server = http.createServer()

server.on('upgrade', (request, stream, head) => {
  const given = new URL(request.url, 'http://localhost').searchParams.getAll('token')
  if (given.length !== 1 || given[0] !== token) {
    stream.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\nConnection: close\r\n\r\nunauthorized\n')
    return
  }
  sockets.handleUpgrade(request, stream, head, (socket) => {
    // The client has to answer a ping, and to put a fragmented message together.
    socket.on('pong', (payload) => {
      if (payload.toString() !== 'are you there') return
      socket.send('answered my ', { fin: false })
      socket.send('ping\r\n', { fin: true })
    })
    socket.ping('are you there')
    socket.on('message', (data, binary) => {
      if (!binary) socket.send(`control ${data}\r\n`)
      else if (data.equals(Buffer.from([4]))) socket.close(1000, 'logged out')
      else socket.send(data.toString())
    })
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
