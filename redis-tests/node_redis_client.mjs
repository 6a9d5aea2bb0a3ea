// node-redis, unchanged, in RESP2 and RESP3: node node_redis_client.mjs port port port

import assert from 'node:assert/strict';
import { createClient, createCluster } from 'redis';
import { LONG, assertToken, runAll, runPool, until } from './node_client.mjs';

async function open(port, later, options = {}) {
  const client = createClient({ socket: { host: '127.0.0.1', port }, ...options });
  client.on('error', () => {}); // Otherwise a node that goes away ends this process.
  later(() => client.isOpen && client.destroy());
  return client.connect();
}

async function openAll(ports, later, options) {
  return Promise.all(ports.map((port) => open(port, later, options)));
}

// A record is a flat array in RESP2 and a map in RESP3.
function field(record, name) {
  if (Array.isArray(record)) return record[record.indexOf(name) + 1];
  return record instanceof Map ? record.get(name) : record[name];
}

const scenarios = {};
for (const RESP of [2, 3]) {
  const add = (sentence, scenario) => { scenarios[`RESP${RESP}: ${sentence}`] = scenario; };
  const prefix = `nr${RESP}:`;

  add('it connects, introduces itself and is listed', async ([port], later) => {
    const client = await open(port, later, { RESP, name: 'tester', database: 0 });
    assert.equal(await client.ping(), 'PONG');
    assert.equal(await client.clientGetName(), 'tester');
    const me = await client.clientInfo();
    assert.equal(me.resp, RESP);
    assert.match(me.libName ?? '', /node-redis/);
    assert.match(await client.info('server'), /lockstep_version:/);
  });

  add('lock commands work and any node sees their effect', async (ports, later) => {
    const [one, two, three] = await openAll(ports, later, { RESP });
    const name = prefix + 'a';
    const token = assertToken(
      await one.sendCommand(['LOCK.ACQUIRE', name, 'alice', 'TTL', String(LONG)]));
    assert.equal(await two.sendCommand(['LOCK.ACQUIRE', name, 'bob']), null);
    const info = await three.sendCommand(['LOCK.INFO', name]);
    assert.equal(field(info, 'state'), 'LOCKED');
    assert.equal(field(field(info, 'holders')[0], 'token'), token);
    assert.equal(await three.sendCommand(['LOCK.RELEASE', name, 'alice']), 1);
  });

  add('errors reject with the text of the server', async ([port], later) => {
    const client = await open(port, later, { RESP });
    await assert.rejects(client.sendCommand(['LOCK.ACQUIRE', 'x']),
      /wrong number of arguments for 'lock.acquire' command/);
  });

  add('multi and exec answer all at once', async ([, port], later) => {
    const client = await open(port, later, { RESP });
    const name = prefix + 'm';
    const replies = await client.multi()
      .addCommand(['LOCK.ACQUIRE', name, 'alice', 'TTL', String(LONG)])
      .addCommand(['LOCK.ACQUIRE', name, 'bob', 'BLOCK', '0']).ping().exec();
    assertToken(replies[0]);
    assert.deepEqual(replies.slice(1), [null, 'PONG']);
  });

  add('a thousand commands in flight keep their order', async ([port], later) => {
    const client = await open(port, later, { RESP });
    const tokens = await Promise.all(Array.from({ length: 1000 }, (_, i) =>
      client.sendCommand(['LOCK.ACQUIRE', `${prefix}p:${i}`, 'alice', 'TTL', String(LONG)])));
    assert.deepEqual(tokens, [...tokens].sort((a, b) => a - b));
    assert.equal(new Set(tokens).size, 1000);
  });

  add('a blocked acquire is granted by a release through another node', async (ports, later) => {
    const [one, two, three] = await openAll(ports, later, { RESP });
    const name = prefix + 'b';
    await one.sendCommand(['LOCK.ACQUIRE', name, 'alice', 'TTL', String(LONG)]);
    const waiting =
      two.sendCommand(['LOCK.ACQUIRE', name, 'bob', 'TTL', String(LONG), 'BLOCK', '0']);
    await until(async () => field(await three.sendCommand(['LOCK.INFO', name]),
      'waiters').length === 1, 'bob waits');
    assert.equal(await three.sendCommand(['LOCK.RELEASE', name, 'alice']), 1);
    assertToken(await waiting);
  });

  add('queue commands work and any node sees their effect', async (ports, later) => {
    const [one, two, three] = await openAll(ports, later, { RESP });
    const queue = prefix + 'q';
    assert.equal(await one.sendCommand(['DQ.POP', queue]), null);
    const waiting = two.sendCommand(['DQ.POP', queue, 'BLOCK', '0', 'FULL']);
    await until(async () => field(await three.sendCommand(['DQ.INFO', queue]) ?? [],
      'waiters') === 1, 'it waits');
    const id = await one.sendCommand(['DQ.PUSH', queue, 'hello', 'HEADERS', '1', 'trace', 't1']);
    assert.equal(typeof id, 'string');
    const [[name, receipt, body, attempt, more]] = await waiting;
    assert.deepEqual([name, body, attempt], [queue, 'hello', 1]);
    assert.equal(field(field(more, 'headers'), 'trace'), 't1');
    assert.equal(await three.sendCommand(['DQ.ACK', queue, receipt]), 1);
  });

  add('a pool of workers does each message and keeps groups in order', async (ports, later) => {
    await runPool(prefix + 'pool', ports, async (port) => {
      const client = await open(port, later, { RESP });
      return {
        call: (...words) => client.sendCommand(words.map(String)),
        leave: () => client.destroy(),
      };
    });
  });

  add('events and messages arrive from other nodes', async (ports, later) => {
    const [one, two, three] = await openAll(ports, later, { RESP });
    const heard = [];
    await two.subscribe(`__lock__:${prefix}e`, (payload) => heard.push(JSON.parse(payload).event));
    await two.pSubscribe(`news${RESP}.*`, (payload, channel) => heard.push(`${channel} ${payload}`));
    await one.sendCommand(['LOCK.ACQUIRE', prefix + 'e', 'alice', 'TTL', String(LONG)]);
    await three.publish(`news${RESP}.today`, 'hello');
    await until(() => heard.length === 2, 'both were heard');
    assert.deepEqual(heard.sort(), ['granted', `news${RESP}.today hello`]);
    // In RESP3 a subscriber may go on with other commands.
    if (RESP === 3) assert.equal(await two.ping(), 'PONG');
    await two.unsubscribe();
  });

  add('server commands have the shapes that it parses', async ([port], later) => {
    const client = await open(port, later, { RESP });
    assert.equal((await client.configGet('maxclients')).maxclients, '10000');
    assert.ok((await client.clientList()).length >= 1);
    assert.ok((await client.commandCount()) > 40);
    const [info] = await client.commandInfo(['lock.acquire']);
    assert.equal(info.name, 'lock.acquire');
    assert.equal(info.firstKeyIndex, 1);
    assert.equal((await client.clusterNodes()).trim().split('\n').length, 3);
    assert.equal((await client.clusterSlots()).length >= 3, true);
    assert.equal((await client.role()).role, 'master');
    assert.deepEqual(await client.moduleList(), []);
    assert.ok(Array.isArray((await client.scan('0')).keys));
  });

  add('a cluster client finds all nodes and routes by key', async (ports, later) => {
    const cluster = createCluster({
      rootNodes: [{ url: `redis://127.0.0.1:${ports[0]}` }], defaults: {}, RESP,
    });
    cluster.on('error', () => {});
    later(() => cluster.destroy());
    await cluster.connect();
    assert.equal(cluster.masters.length, 3);
    for (let i = 0; i < 30; i++) {
      const name = `${prefix}c:${i}`;
      assertToken(await cluster.sendCommand(name, false,
        ['LOCK.ACQUIRE', name, 'alice', 'TTL', String(LONG)]));
    }
  });
}

await runAll(scenarios);
