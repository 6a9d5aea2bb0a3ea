// What both Node clients share: scenarios that are sentences, run one process for all of them, each
// reported on a line of its own so that the Python side can count them.

import assert from 'node:assert/strict';

export const LONG = 600000;

// Until `fact` holds; a test waits for facts, never for time to pass.
export async function until(fact, what) {
  const deadline = Date.now() + 10000;
  while (!(await fact())) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function assertToken(token) {
  assert.equal(typeof token, 'number', `no token: ${token}`);
  assert.ok(token > 0);
  return token;
}

// A small pool of queue workers: two push, three work, and one of these loses its connection again
// and again with messages in hand. `open(port)` gives { call(...words), leave() }. Throws if a
// message is delivered after its acknowledged ACK, or overtakes another of its group.
export async function runPool(queue, ports, open) {
  const each = 40;
  const groups = ['a', 'b'];
  const acking = new Set();
  const done = new Map(); // Body -> when its ACK was answered, by `clock`.
  let clock = 0;
  let torn = 0;

  async function produce(name, port) {
    const { call } = await open(port);
    for (let i = 0; i < each; i++) {
      for (const group of groups) {
        const body = `${name}${group}/${i}`;
        await call('DQ.PUSH', queue, body, 'ID', body, 'GROUP', name + group);
      }
    }
  }

  function judge(body, asked) {
    const [group, i] = body.split('/');
    assert.ok(!(done.get(body) < asked), `${body} is delivered though it is done`);
    assert.ok(i === '0' || acking.has(`${group}/${i - 1}`), `${body} overtakes the one before it`);
  }

  async function consume(port, tears) {
    let worker = await open(port);
    let turns = 0;
    while (done.size < 2 * groups.length * each) {
      const asked = ++clock;
      const rows = await worker.call('DQ.POP', queue, 'COUNT', 2, 'BLOCK', 100, 'TIED') ?? [];
      for (const [, , body] of rows) judge(body, asked);
      if (tears && rows.length > 0 && ++turns % 5 === 0) {
        worker.leave();
        worker = await open(port);
        torn++;
        continue;
      }
      for (const [, receipt, body] of rows) {
        acking.add(body);
        assert.equal(await worker.call('DQ.ACK', queue, receipt), 1);
        done.set(body, ++clock);
      }
    }
  }

  const [one, two, three] = ports;
  await Promise.all([produce('x', one), produce('y', two),
    consume(one, true), consume(two, false), consume(three, false)]);
  assert.ok(torn > 0, 'a worker was torn away');
}

export async function runAll(scenarios) {
  const ports = process.argv.slice(2).map(Number);
  for (const [sentence, scenario] of Object.entries(scenarios)) {
    const closers = [];
    try {
      const patience = new Promise((_, reject) => {
        const timer = setTimeout(() => reject(new Error('not done within 30 s')), 30000);
        closers.push(() => clearTimeout(timer));
      });
      await Promise.race([scenario(ports, (closer) => closers.push(closer)), patience]);
      console.log(JSON.stringify({ sentence, ok: true }));
    } catch (error) {
      console.log(JSON.stringify({ sentence, ok: false, error: String(error.stack ?? error) }));
    }
    for (const close of closers.reverse()) await close();
  }
  process.exit(0);
}
