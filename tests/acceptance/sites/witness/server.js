// A site that tells what happened to it: who answers, how often it was started, what it was sent.
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const path = require('path')

const data = process.env.SITEWRIGHT_DATA
const version = fs.readFileSync(path.join(__dirname, 'version'), 'utf8').trim()
const starts = path.join(data, 'starts')
fs.appendFileSync(starts, '.')
if (fs.existsSync(path.join(data, 'crash'))) {
  console.error('no luck today')
  process.exit(3)
}
const me = { version, instance: process.env.SITEWRIGHT_INSTANCE, word: process.env.WORD || '' }

function answer (request, response) {
  const url = new URL(request.url, 'http://here')
  if (url.pathname === '/hash') {
    const hash = crypto.createHash('sha256')
    request.on('data', chunk => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')))
  } else if (url.pathname === '/starts') {
    response.end(String(fs.statSync(starts).size))
  } else if (url.pathname === '/slow') {
    setTimeout(() => response.end('slow'), Number(url.searchParams.get('ms')))
  } else if (url.pathname === '/me') {
    response.end(JSON.stringify(me))
  } else if (version === 'broken') {
    response.writeHead(500).end('broken')
  } else {
    response.end(version + me.word)
  }
}

// Small messages of a web socket, one frame each, sent back as they come.
function echo (socket, bytes) {
  let rest = bytes
  while (rest.length >= 6) {
    const length = rest[1] & 127
    const frame = rest.subarray(0, 6 + length)
    rest = rest.subarray(6 + length)
    const text = Buffer.from(frame.subarray(6).map((byte, index) => byte ^ frame[2 + index % 4]))
    if ((frame[0] & 15) === 8) return socket.end(Buffer.concat([Buffer.from([0x88, length]), text]))
    socket.write(Buffer.concat([Buffer.from([frame[0], length]), text]))
  }
}

const server = http.createServer(answer)
server.on('upgrade', (request, socket, head) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  const accept = crypto.createHash('sha1').update(key).digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + accept + '\r\n\r\n')
  socket.on('error', () => socket.destroy())
  socket.on('data', bytes => echo(socket, bytes))
  if (head.length) echo(socket, head)
})
setTimeout(() => server.listen(process.env.PORT), Number(process.env.START_MS || 0))
