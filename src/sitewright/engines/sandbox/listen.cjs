// Run by Node before the app (--require). The first server that listens on $PORT takes the socket that is open already, descriptor 3,
// so that visitors need no relay and can wait in it while the app starts. Everything else listens as it always does.
'use strict';

const SOCKET = 3;
const OURS = '--require=/etc/sitewright/listen.cjs';
const { env } = process;

function forgetOptions() {
  // Whatever this app starts is not the one that visitors are for; Node has closed the descriptor for it, too.
  delete env.SITEWRIGHT_LISTEN;
  const left = (env.NODE_OPTIONS ?? '').split(' ').filter((word) => word !== OURS).join(' ');
  if (left) env.NODE_OPTIONS = left;
  else delete env.NODE_OPTIONS;
}

function isSocket() {
  try {
    return require('node:fs').fstatSync(SOCKET).isSocket();
  } catch {
    return false;
  }
}

function asksForPort(first, port) {
  const wanted = first !== null && typeof first === 'object' ? first.path === undefined && first.fd === undefined && first.port : first;
  return (typeof wanted === 'number' || typeof wanted === 'string') && String(wanted) === port;
}

function hasWorkers() {
  const cluster = require('node:cluster');
  return cluster.isWorker || Object.keys(cluster.workers ?? {}).length > 0;
}

function prepare(server, port) {
  // What the app would see of its address and of its visitors behind the relay.
  const number = Number(port);
  server.address = () => (server.listening ? { address: '::', family: 'IPv6', port: number } : null);
  const seen = { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4', remotePort: 0, localAddress: '127.0.0.1', localPort: number };
  const properties = Object.fromEntries(Object.entries(seen).map(([name, value]) => [name, { value, configurable: true }]));
  server.prependListener('connection', (connection) => Object.defineProperties(connection, properties));
}

function takeOver(port) {
  const { Server } = require('node:net');
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...words) {
    if (!asksForPort(words[0], port) || hasWorkers()) return listen.apply(this, words);
    Server.prototype.listen = listen;
    if (!isSocket()) return listen.apply(this, words);
    const { signal } = Object(words[0]);
    const told = words.findLast((word) => typeof word === 'function');
    prepare(this, port);
    return listen.apply(this, [{ fd: SOCKET, backlog: 1024, ...(signal && { signal }) }, ...(told ? [told] : [])]);
  };
}

if (env.SITEWRIGHT_LISTEN === String(SOCKET) && env.PORT) {
  const { PORT } = env;
  forgetOptions();
  takeOver(PORT);
}
