// Caches as Node programs use them, unchanged, on all nodes at once: what one node was told, the
// others say. node cache_clients.mjs port port port

import assert from 'node:assert/strict';
import { createCache } from 'cache-manager';
import { RedisStore } from 'connect-redis';
import { Redis, Cluster } from 'ioredis';
import KeyvRedis, { Keyv } from '@keyv/redis';
import { RateLimiterRedis, RateLimiterRedisNonAtomic } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import { runAll, until } from './node_client.mjs';

function openIo(port, later) {
  const client = new Redis({ port, host: '127.0.0.1' });
  later(() => client.disconnect());
  return client;
}

async function openNode(port, later, options = {}) {
  const client = createClient({ socket: { host: '127.0.0.1', port }, ...options });
  client.on('error', () => {});
  later(() => client.isOpen && client.destroy());
  return client.connect();
}

const openNodes = (ports, later, options) =>
  Promise.all(ports.map((port) => openNode(port, later, options)));

function openCaches(ports, later, namespace) {
  return ports.map((port) => {
    const store = new KeyvRedis(`redis://127.0.0.1:${port}`, { throwOnErrors: true });
    later(() => store.disconnect(true));
    return createCache({ stores: [new Keyv({ store, namespace, throwOnErrors: true })] });
  });
}

// The store's methods with promises: express-session calls them with callbacks.
const openSessions = async (ports, later) => (await openNodes(ports, later)).map(
  (client) => new RedisStore({ client, prefix: 'sess:' }));

await runAll({
  'ioredis: strings and their times to live are the same on all nodes': async (ports, later) => {
    const [one, two, three] = ports.map((port) => openIo(port, later));
    assert.equal(await one.set('io:a', 'x', 'EX', 100), 'OK');
    assert.equal(await two.get('io:a'), 'x');
    assert.ok(await three.ttl('io:a') >= 97);
    assert.equal(await three.set('io:a', 'y', 'NX'), null);
    assert.equal(await two.append('io:a', 'z'), 2);
    assert.equal(await one.getdel('io:a'), 'xz');
    assert.equal(await two.exists('io:a'), 0);
    assert.equal(await one.mset({ 'io:b': '1', 'io:c': '2' }), 'OK');
    assert.deepEqual(await two.mget('io:b', 'io:none', 'io:c'), ['1', null, '2']);
    assert.equal(await three.incrby('io:b', 41), 42);
    assert.deepEqual(await two.getBuffer('io:b'), Buffer.from('42'));
    await assert.rejects(one.incr('io:c', 'x'), /wrong number of arguments/);
    await one.set('io:c', 'word');
    await assert.rejects(two.incr('io:c'), /value is not an integer or out of range/);
    assert.equal(await three.del('io:b', 'io:c', 'io:none'), 2);
  },

  'ioredis: a transaction happens at once, or not at all': async (ports, later) => {
    const [one, two] = ports.map((port) => openIo(port, later));
    assert.deepEqual(await one.multi().set('io:m', 5).incr('io:m').get('io:m').exec(),
      [[null, 'OK'], [null, 6], [null, '6']]);
    await one.watch('io:m');
    await two.set('io:m', 'other');
    assert.equal(await one.multi().set('io:m', 'mine').exec(), null);
    assert.equal(await one.get('io:m'), 'other');
  },

  'ioredis: automatic pipelines count right from all nodes': async (ports, later) => {
    const clients = ports.map((port) => openIo(port, later));
    const counted = await Promise.all(Array.from({ length: 900 }, (_, i) =>
      clients[i % 3].incr('io:count')));
    assert.deepEqual(counted.sort((a, b) => a - b), Array.from({ length: 900 }, (_, i) => i + 1));
  },

  'ioredis: a cluster client reads and writes keys of all slots': async (ports, later) => {
    const cluster = new Cluster(ports.map((port) => ({ host: '127.0.0.1', port })));
    later(() => cluster.disconnect());
    const other = openIo(ports[0], later);
    for (let i = 0; i < 60; i++) assert.equal(await cluster.set(`io:k:${i}`, i), 'OK');
    for (let i = 0; i < 60; i++) assert.equal(await other.get(`io:k:${i}`), String(i));
  },

  'node-redis: strings and transactions in both protocols': async (ports, later) => {
    for (const RESP of [2, 3]) {
      const [one, two, three] = await openNodes(ports, later, { RESP });
      const key = `nr${RESP}:a`;
      assert.equal(await one.set(key, 'x', { expiration: { type: 'PX', value: 100000 } }), 'OK');
      assert.equal(await two.get(key), 'x');
      const ttl = await three.pTTL(key);
      assert.ok(ttl > 95000 && ttl <= 100000, String(ttl));
      assert.equal(await three.persist(key), 1);
      assert.equal(await two.ttl(key), -1);
      assert.deepEqual(await one.multi().set(key, '5').incr(key).get(key).exec(), ['OK', 6, '6']);
      assert.equal(await two.incrByFloat(key, 0.5), '6.5');
      assert.deepEqual(await three.mGet([key, key + 'none']), ['6.5', null]);
      assert.equal(await one.getSet(key, 'last'), '6.5');
      assert.equal(await two.setRange(key, 0, 'L'), 4);
      assert.equal(await three.getRange(key, 0, 1), 'La');
      assert.equal(await one.unlink(key), 1);
      assert.equal(await two.type(key), 'none');
    }
  },

  'node-redis: a watched key that changed elsewhere aborts': async (ports, later) => {
    const [one, two] = await openNodes(ports, later);
    await one.set('nr:w', '1');
    await one.watch('nr:w');
    await two.incr('nr:w');
    await assert.rejects(one.multi().set('nr:w', 'mine').exec(), /One \(or more\) of the watched/);
    assert.equal(await one.get('nr:w'), '2');
  },

  'cache-manager: what one node sets, all get, until it is deleted': async (ports, later) => {
    const [one, two, three] = openCaches(ports, later, 'cm');
    assert.equal(await one.get('user'), undefined);
    await one.set('user', { name: 'Ada', tags: ['a', 'b'] }, 60000);
    for (const cache of [one, two, three]) {
      assert.deepEqual(await cache.get('user'), { name: 'Ada', tags: ['a', 'b'] });
    }
    await two.set('user', { name: 'Grace' }, 60000);
    assert.deepEqual(await three.get('user'), { name: 'Grace' });
    assert.deepEqual(await one.get('user'), { name: 'Grace' });
    await three.del('user');
    assert.equal(await one.get('user'), undefined);
    await one.mset([{ key: 'a', value: 1 }, { key: 'b', value: 2 }]);
    assert.deepEqual(await two.mget(['a', 'b', 'c']), [1, 2, undefined]);
    await three.mdel(['a', 'b']);
    assert.deepEqual(await one.mget(['a', 'b']), [undefined, undefined]);
  },

  'cache-manager: an expired value is computed again, once': async (ports, later) => {
    const caches = openCaches(ports, later, 'cmw');
    let computed = 0;
    const wrap = (cache) => cache.wrap('slow', async () => ++computed, 400);
    for (const cache of caches) assert.equal(await wrap(cache), 1);
    await until(async () => (await caches[1].get('slow')) === undefined, 'it has expired');
    for (const cache of caches) assert.equal(await cache.get('slow'), undefined);
    assert.equal(await wrap(caches[2]), 2);
    assert.equal(await caches[0].get('slow'), 2);
  },

  'connect-redis: a session follows its user from node to node': async (ports, later) => {
    const [one, two, three] = await openSessions(ports, later);
    const session = (user) => ({ cookie: { expires: new Date(Date.now() + 60000) }, user });
    await one.set('s1', session('ada'));
    assert.equal((await two.get('s1')).user, 'ada');
    await three.touch('s1', session('ada'));
    await two.set('s1', session('grace'));
    for (const store of [one, two, three]) assert.equal((await store.get('s1')).user, 'grace');
    await three.destroy('s1');
    assert.equal(await one.get('s1'), null);
    // With its callbacks, as express-session calls it.
    await new Promise((resolve, reject) => one.set('s2', session('alan'), (error) =>
      (error ? reject(error) : resolve())));
    const told = await new Promise((resolve, reject) => two.get('s2', (error, found) =>
      (error ? reject(error) : resolve(found))));
    assert.equal(told.user, 'alan');
  },

  'rate-limiter-flexible: a quota is exact over all nodes': async (ports, later) => {
    const clients = await openNodes(ports, later);
    const limiters = clients.map((storeClient) => new RateLimiterRedis({
      storeClient, points: 50, duration: 0, keyPrefix: 'rlq', useRedisPackage: true,
    }));
    const tries = await Promise.allSettled(Array.from({ length: 150 }, (_, i) =>
      limiters[i % 3].consume('user')));
    assert.equal(tries.filter((each) => each.status === 'fulfilled').length, 50);
    assert.equal((await limiters[1].get('user')).consumedPoints, 150);
    assert.equal(await limiters[2].delete('user'), true);
    assert.equal(await limiters[0].get('user'), null);
  },

  'rate-limiter-flexible: a window ends for all nodes': async (ports, later) => {
    const clients = ports.map((port) => openIo(port, later));
    const limiters = clients.map((storeClient) => new RateLimiterRedisNonAtomic({
      storeClient, points: 6, duration: 1, keyPrefix: 'rlw',
    }));
    for (let i = 0; i < 6; i++) await limiters[i % 3].consume('user');
    for (const limiter of limiters) {
      await assert.rejects(limiter.consume('user'), (told) => told.msBeforeNext <= 1000);
    }
    await until(async () => (await limiters[1].get('user')) === null, 'the window is over');
    assert.equal((await limiters[2].consume('user')).consumedPoints, 1);
  },
});
