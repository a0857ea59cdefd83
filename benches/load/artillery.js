// What artillery.yml can't say itself. Each worker of Artillery has its own copy.

'use strict';

const ramp = Number(process.env.RAMP) * 1000;
const hold = Number(process.env.HOLD) * 1000;

let number = 0;
let steady;

/** Where an attach goes; the token isn't in the script. */
function address(wsArgs, context, done) {
  steady ??= Date.now() + ramp;
  wsArgs.target = `${process.env.URL}?token=${process.env.TOKEN}`;
  return done();
}

function opened(context, events, done) {
  events.emit('counter', 'opened', 1);
  return done();
}

/** All end at one moment, as gauntlet's do. */
function held(context, done) {
  return done(Date.now() < steady + hold);
}

function echo(context, events, done) {
  const socket = context.ws;
  const text = `z${String(process.pid).padStart(6, '0')}${String(number++).padStart(5, '0')}`;
  const typed = performance.now();
  const isSteady = Date.now() >= steady;
  const end = () => {
    clearTimeout(timer);
    socket.off('message', read);
    return done();
  };
  const timer = setTimeout(end, 30_000);
  const read = (message) => {
    if (message.toString() !== text) {
      return;
    }
    events.emit('counter', 'answered', 1);
    if (isSteady) {
      events.emit('histogram', 'echo', performance.now() - typed);
    }
    end();
  };
  socket.on('message', read);
  socket.send(Buffer.from(text));
}

module.exports = { address, opened, held, echo };
