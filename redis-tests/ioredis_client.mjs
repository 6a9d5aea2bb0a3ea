// ioredis, unchanged, against running nodes: node ioredis_client.mjs port port port

import assert from 'node:assert/strict';
import { Redis, Cluster } from 'ioredis';
import { LONG, assertToken, runAll, runPool, until } from './node_client.mjs';

function open(port, later, options = {}) {
  const client = new Redis({ port, host: '127.0.0.1', ...options });
  later(() => client.disconnect());
  return client;
}

function openCluster(ports, later, options = {}) {
  const nodes = ports.map((port) => ({ host: '127.0.0.1', port }));
  const cluster = new Cluster(nodes, options);
  later(() => cluster.disconnect());
  return cluster;
}

await runAll({
  'it passes its ready check and names itself': async ([port], later) => {
    const client = open(port, later, { connectionName: 'tester', db: 0 });
    await until(() => client.status === 'ready', 'ready');
    assert.equal(await client.ping(), 'PONG');
    assert.equal(await client.client('GETNAME'), 'tester');
    assert.match(await client.info(), /redis_mode:cluster/);
    assert.match(await client.client('LIST'), /lib-name=ioredis/);
  },

  'lock commands work by call and any node sees their effect': async (ports, later) => {
    const [one, two, three] = ports.map((port) => open(port, later));
    const token = assertToken(await one.call('LOCK.ACQUIRE', 'io:a', 'alice', 'TTL', LONG));
    assert.equal(await two.call('LOCK.ACQUIRE', 'io:a', 'bob'), null);
    assert.equal(await three.call('LOCK.CHECK', 'io:a', token), 1);
    assert.equal(await two.call('LOCK.RELEASE', 'io:a', 'alice', 'TOKEN', token), 1);
  },

  'errors reject with the text of the server': async ([port], later) => {
    const client = open(port, later);
    await assert.rejects(client.call('LOCK.ACQUIRE', 'x'),
      /ERR wrong number of arguments for 'lock.acquire' command/);
    await assert.rejects(client.call('LOCK.ACQUIRE', 'x', 'y', 'TLT', '5'), /did you mean TTL/);
  },

  'automatic pipelining and explicit pipelines keep replies in step': async ([port], later) => {
    const client = open(port, later, { enableAutoPipelining: true });
    const tokens = await Promise.all(Array.from({ length: 500 }, (_, i) =>
      client.call('LOCK.ACQUIRE', `io:p:${i}`, 'alice', 'TTL', LONG)));
    assert.equal(new Set(tokens).size, 500);
    const replies = await client.pipeline()
      .call('LOCK.CHECK', 'io:p:7', tokens[7]).call('LOCK.ACQUIRE', 'x').ping().exec();
    assert.deepEqual(replies[0], [null, 1]);
    assert.match(replies[1][0].message, /wrong number/);
    assert.deepEqual(replies[2], [null, 'PONG']);
  },

  'multi and exec answer all at once': async ([, port], later) => {
    const client = open(port, later);
    const replies = await client.multi()
      .call('LOCK.ACQUIRE', 'io:m', 'alice', 'TTL', LONG)
      .call('LOCK.ACQUIRE', 'io:m', 'bob', 'BLOCK', 0)
      .ping().exec();
    assertToken(replies[0][1]);
    assert.equal(replies[1][1], null);
    assert.equal(replies[2][1], 'PONG');
  },

  'a blocked acquire is granted by a release through another node': async (ports, later) => {
    const [one, two, three] = ports.map((port) => open(port, later));
    await one.call('LOCK.ACQUIRE', 'io:b', 'alice', 'TTL', LONG);
    const waiting = two.call('LOCK.ACQUIRE', 'io:b', 'bob', 'TTL', LONG, 'BLOCK', 0);
    await until(async () => JSON.stringify(await three.call('LOCK.INFO', 'io:b')).includes('bob'),
      'bob waits');
    assert.equal(await three.call('LOCK.RELEASE', 'io:b', 'alice'), 1);
    assertToken(await waiting);
  },

  'queue commands work by call and any node sees their effect': async (ports, later) => {
    const [one, two, three] = ports.map((port) => open(port, later));
    assert.equal(await one.call('DQ.POP', 'io:q'), null);
    const waiting = two.call('DQ.POP', 'io:q', 'BLOCK', 0);
    await until(async () => {
      const info = await three.call('DQ.INFO', 'io:q') ?? [];
      return info[info.indexOf('waiters') + 1] === 1;
    }, 'it waits');
    assert.equal(typeof await one.call('DQ.PUSH', 'io:q', 'hello'), 'string');
    const [[queue, receipt, body, attempt]] = await waiting;
    assert.deepEqual([queue, body, attempt], ['io:q', 'hello', 1]);
    assert.equal(await three.call('DQ.ACK', 'io:q', receipt), 1);
  },

  'a pool of workers does each message and keeps groups in order': async (ports, later) => {
    await runPool('io:pool', ports, async (port) => {
      const client = open(port, later);
      return { call: (...words) => client.call(...words), leave: () => client.disconnect() };
    });
  },

  'events and messages arrive from other nodes': async (ports, later) => {
    const [one, two, three] = ports.map((port) => open(port, later));
    const heard = [];
    two.on('message', (channel, payload) => heard.push([channel, payload]));
    two.on('pmessage', (pattern, channel, payload) => heard.push([channel, payload]));
    await two.subscribe('__lock__:io:e');
    await two.psubscribe('io-news.*');
    await one.call('LOCK.ACQUIRE', 'io:e', 'alice', 'TTL', LONG);
    await three.publish('io-news.today', 'hello');
    await until(() => heard.length === 2, 'both were heard');
    assert.equal(JSON.parse(heard.find(([c]) => c === '__lock__:io:e')[1]).event, 'granted');
    assert.deepEqual(heard.find(([c]) => c === 'io-news.today'), ['io-news.today', 'hello']);
  },

  'scanStream walks the keys': async ([port], later) => {
    const client = open(port, later);
    await Promise.all(Array.from({ length: 50 }, (_, i) =>
      client.set(`io:s:${i}`, 'value')));
    const seen = new Set();
    for await (const page of client.scanStream({ match: 'io:s:*', count: 10 })) {
      for (const name of page) seen.add(name);
    }
    assert.equal(seen.size, 50);
  },

  'binary names go through buffers unharmed': async ([port], later) => {
    const client = open(port, later);
    const name = Buffer.from([0, 13, 10, 255, 254]);
    assertToken(await client.call('LOCK.ACQUIRE', name, 'alice', 'TTL', LONG));
    const info = await client.callBuffer('LOCK.INFO', name);
    assert.deepEqual(info[1], name);
  },

  'a cluster client finds all nodes and its lock commands work': async (ports, later) => {
    const cluster = openCluster([ports[0]], later);
    await until(() => cluster.status === 'ready', 'ready');
    assert.equal(cluster.nodes('master').length, 3);
    for (let i = 0; i < 30; i++) {
      assertToken(await cluster.call('LOCK.ACQUIRE', `io:c:${i}`, 'alice', 'TTL', LONG));
    }
    assert.equal(await cluster.call('LOCK.RELEASE', 'io:c:3', 'alice'), 1);
    for (const node of cluster.nodes('all')) assert.equal(await node.ping(), 'PONG');
  },

  'a cluster client subscribes and pipelines': async (ports, later) => {
    const cluster = openCluster(ports, later);
    const heard = [];
    cluster.on('message', (channel, payload) => heard.push(payload));
    await cluster.subscribe('io-cluster');
    const other = openCluster(ports, later);
    await other.publish('io-cluster', 'hello');
    await until(() => heard.length === 1, 'the message was heard');
    const replies = await other.pipeline().call('LOCK.ACQUIRE', '{io}:1', 'a', 'TTL', LONG)
      .call('LOCK.ACQUIRE', '{io}:2', 'a', 'TTL', LONG).exec();
    for (const [error, token] of replies) {
      assert.equal(error, null);
      assertToken(token);
    }
  },
});
