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
