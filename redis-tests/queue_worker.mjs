// queue_worker.py once more, with ioredis or node-redis: node queue_worker.mjs ioredis|node-redis
// and what that one takes. It does the same and writes down the same.

import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const LEASE_MS = 1500;
const GROUPS = 3; // Of each producer.
const WORK_MS = 4; // At most.
const PATIENCE_MS = 8000;
const TROUBLE = ['CLUSTERDOWN', 'TRYAGAIN', 'UNCERTAIN', 'UNBLOCKED'];

// Each opens a connection that neither comes back by itself nor sends anything twice: only so is it
// known when it ended.
const LIBRARIES = {
  'ioredis': async (port) => {
    const { Redis, ReplyError } = await import('ioredis');
    const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: null });
    client.on('error', () => {}); // What was asked for tells of it.
    await client.connect().catch((error) => { client.disconnect(); throw error; });
    return {
      call: (words) => client.call(...words),
      close: () => client.disconnect(),
      isReply: (error) => error instanceof ReplyError,
    };
  },
  'node-redis': async (port) => {
    const { createClient, ErrorReply } = await import('redis');
    const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } });
    client.on('error', () => {});
    await client.connect();
    return {
      call: (words) => client.sendCommand(words.map(String)),
      close: () => client.isOpen && client.destroy(),
      isReply: (error) => error instanceof ErrorReply,
    };
  },
};

const [library, role, name, log, queue, list] = process.argv.slice(2);
const ports = list.split(',').map(Number);
const file = fs.openSync(log, 'a');
let ending = false;
process.on('SIGTERM', () => { ending = true; });

const now = () => process.hrtime.bigint(); // The clock that Python calls monotonic.
const below = (n) => Math.floor(Math.random() * n);
const choice = (things) => things[below(things.length)];

function note(what, ...words) {
  noteAt(now(), what, ...words);
}

function noteAt(at, what, ...words) {
  fs.writeSync(file, [at, name, what, ...words].join(' ') + '\n');
}

// One node at a time, the next one when it is gone or has no majority.
const client = {
  node: null,
  turn: -1,

  get port() { return ports[this.turn % ports.length]; },

  moveOn() {
    this.node?.close();
    this.node = null;
  },

  async ask(words) {
    if (!this.node) {
      this.turn++;
      this.node = await LIBRARIES[library](this.port);
    }
    let timer;
    const patience = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    });
    return Promise.race([this.node.call(words), patience]).finally(() => clearTimeout(timer));
  },

  // Until an answer comes that is no passing trouble. Each command here is safe to repeat.
  async insist(...words) {
    for (;;) {
      const began = now();
      try {
        return await this.ask(words);
      } catch (error) {
        if (!this.node?.isReply(error)) {
          noteAt(began, 'left'); // It may have been closed at any time since.
          this.moveOn();
        } else if (error.message.startsWith('LIMIT')) {
          await sleep(20); // The queue is full: whoever pushes has to wait.
          continue;
        } else if (TROUBLE.includes(error.message.split(' ')[0])) {
          note('left');
          this.moveOn();
        } else {
          throw error;
        }
      }
      await sleep(10);
    }
  },
};

// One after the other, so that what a group is pushed has an order.
async function produce() {
  const numbers = {};
  while (!ending) {
    const group = choice(['-', ...Array(GROUPS).keys()]);
    numbers[group] ??= 0;
    const body = `${name}/${group}/${numbers[group]++}`;
    const how = group === '-' ? ['PRIORITY', below(10)] : ['GROUP', `${name}/${group}`];
    note('pushing', queue, body, group === '-' ? group : how[1], 0, 0);
    note('pushed', body, await client.insist('DQ.PUSH', queue, body, 'ID', body, ...how));
  }
}

async function consume() {
  const options = choice([['TIED'], []]);
  const onTheWay = Math.random() < 0.3;
  let acks = [];
  while (!ending || acks.length) {
    const asked = now();
    const more = acks.length ? ['ACK', acks.length, ...acks] : [];
    for (const receipt of acks) note('acking', receipt);
    const blockMs = ending ? 1 : 300;
    const rows = await client.insist('DQ.POP', queue, 'COUNT', choice([1, 1, 4]), 'BLOCK', blockMs,
      'LEASE', LEASE_MS, 'FULL', ...options, ...more);
    if (!rows) note('nil', queue, asked, blockMs);
    for (const receipt of acks) note('settled', receipt);
    acks = [];
    for (const [, receipt, body, attempt] of rows ?? []) {
      note('got', queue, receipt, attempt, body, asked, LEASE_MS, client.port, options.length);
      if (!await work(receipt)) continue;
      if (onTheWay) {
        acks.push(receipt);
        continue;
      }
      note('acking', receipt);
      if (await client.insist('DQ.ACK', queue, receipt)) note('acked', receipt);
    }
  }
}

// Whether it went well. It takes its time: or nobody were ever killed in the middle.
async function work(receipt) {
  await sleep(Math.random() * WORK_MS);
  if (Math.random() < 0.97) return true;
  const how = choice([['ERROR', 'bad luck'], ['RELEASE']]);
  note('nacking', receipt, how.length === 2 ? 'fail' : 'release');
  if (await client.insist('DQ.NACK', queue, receipt, ...how)) note('nacked', receipt);
  return false;
}

await { produce, consume }[role]();
process.exit(0);
