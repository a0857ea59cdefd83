// The load of side-by-side for k6: one virtual user for each attach, which types a text a second and waits to read
// it back. All end at one moment, as gauntlet's do.

import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/experimental/websockets';

const attaches = Number(__ENV.ATTACHES);
const rate = Number(__ENV.RATE);
const hold = Number(__ENV.HOLD);
const ramp = attaches / rate;

const opened = new Counter('opened');
const answered = new Counter('answered');
// Of the steady part alone, as gauntlet's `steady.echo`.
const echo = new Trend('echo', true);

export const options = {
  scenarios: {
    attaches: {
      executor: 'per-vu-iterations',
      vus: attaches,
      iterations: 1,
      maxDuration: `${Math.ceil(ramp + hold + 60)}s`,
    },
  },
  summaryTrendStats: ['count', 'avg', 'med', 'p(99)', 'max'],
};

function bytes(text) {
  const codes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    codes[at] = text.charCodeAt(at);
  }
  return codes.buffer;
}

export default function () {
  const attach = exec.vu.idInTest - 1;
  const steady = exec.scenario.startTime + ramp * 1000;
  const end = steady + hold * 1000;
  sleep(attach / rate);
  const socket = new WebSocket(`${__ENV.URL}?token=${__ENV.TOKEN}`, null, { tags: { name: 'tty' } });
  let number = 0;
  let typed = 0;
  let text = '';
  socket.onopen = () => {
    opened.add(1);
    const timer = setInterval(() => {
      if (Date.now() >= end) {
        clearInterval(timer);
        socket.close();
        return;
      }
      text = `z${String(attach).padStart(6, '0')}${String(number++).padStart(5, '0')}`;
      typed = Date.now();
      socket.send(bytes(text));
    }, 1000);
  };
  socket.onmessage = (message) => {
    if (text !== '' && message.data === text) {
      answered.add(1);
      if (typed >= steady) {
        echo.add(Date.now() - typed);
      }
    }
  };
}

export function handleSummary(data) {
  return { [__ENV.RESULT]: JSON.stringify(data.metrics) };
}
