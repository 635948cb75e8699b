// The server in front of a certified identity provider: keys and answers from elsewhere, over a real network.
//
// usage: oidc.mjs SERVER

import assert from 'node:assert/strict';
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

import { check, close } from './checks.mjs';
import { AUDIENCE, Provider, Server, until } from './processes.mjs';

const ELSEWHERE = 'https://invoices.example';
const ALGORITHMS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};
const NAMES = Object.keys(ALGORITHMS);

const KEYS = '/jwks';
const METADATA = '/.well-known/openid-configuration';
const INTROSPECTION = '/token/introspection';

// What the server promises, in seconds.
const DEADLINE = 3;
const COOLDOWN = 10;
const ANSWER_AGE = 30;
// For machines that are busy, on top of each promise.
const SLACK = 1;
// Less than a fetch that is waited for takes.
const AT_ONCE = 2;

/** A private key for each algorithm. */
function keySet(generation) {
  return Promise.all(
    Object.entries(ALGORITHMS).map(async ([alg, [type, options]]) => {
      const { privateKey } = await promisify(generateKeyPair)(type, options);
      return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}` };
    }),
  );
}

function decode(part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function kid(token) {
  return decode(token.split('.')[0]).kid;
}

/** The token with other members in its header or its claims, under the signature that it had. */
function altered(token, header, claims) {
  const [first, second, third] = token.split('.');
  return [encode({ ...decode(first), ...header }), encode({ ...decode(second), ...claims }), third].join('.');
}

function resigned(token) {
  const [first, second, third] = token.split('.');
  const signature = Buffer.from(third, 'base64url');
  signature[8] ^= 1;
  return [first, second, signature.toString('base64url')].join('.');
}

function unsigned(token) {
  return altered(token, { alg: 'none' }).replace(/[^.]*$/, '');
}

function mintByScope(provider, form) {
  return Promise.all(['read', 'read write', ''].map((scope) => provider.mint(form, { scope })));
}

async function accepts(server, token, issuer, scopes = ['read']) {
  const { status, text } = await server.get('/me', token);
  assert.equal(status, 200, `status ${status}`);
  assert.deepEqual(JSON.parse(text), { subject: 'caller', issuer, scopes, scheme: 'Bearer' });
}

function assertRefusal({ status, headers }, expected, error) {
  assert.equal(status, expected, `status ${status}`);
  assert.match(headers.get('www-authenticate') ?? '', new RegExp(`^Bearer realm=".*error="${error}"`));
}

async function refuses(server, ...tokens) {
  for (const token of tokens) assertRefusal(await server.get('/me', token), 401, 'invalid_token');
}

/** No verdict: not the caller's fault, and told in time. */
async function cannotSay(server, token, { retryAfter = true } = {}) {
  const start = Date.now();
  const { status, headers } = await server.get('/me', token);
  const seconds = (Date.now() - start) / 1000;
  assert.equal(status, 503, `status ${status}`);
  assert.equal(headers.get('www-authenticate'), null, 'a challenge');
  assert.ok(seconds < DEADLINE + SLACK, `after ${seconds} s`);
  if (retryAfter) assert.match(headers.get('retry-after') ?? 'none', /^[1-9]\d*$/, 'retry-after');
}

async function limitsScope(server, read, both, none) {
  assert.equal((await server.get('/orders', read)).status, 200);
  assertRefusal(await server.post('/orders', read), 403, 'insufficient_scope');
  assert.equal((await server.post('/orders', both)).status, 200);
  assertRefusal(await server.get('/orders', none), 403, 'insufficient_scope');
}

/** Asserts on the first entry of the health report. */
async function reports(server, expected) {
  const { status, headers, text } = await server.get('/healthz');
  assert.equal(status, 200, `status ${status}`);
  assert.equal(headers.get('content-type'), 'application/json');
  const { status: word, keys } = JSON.parse(text);
  assert.equal(word, 'ok');
  const { age_s: age, last_error: error, ...rest } = keys[0];
  assert.equal(keys.length, 1);
  const { cold = false, failed = false, ...members } = expected;
  assert.deepEqual(rest, { last_known_good: false, ...members });
  assert.equal(typeof age, cold ? 'object' : 'number', `age_s ${age}`);
  assert.equal(typeof error, failed ? 'string' : 'object', `last_error ${error}`);
}

async function counts(provider, path, expected) {
  assert.equal(await provider.count(path), expected, path);
}

/** The flags of the ways to the provider's keys. */
function ways(issuer) {
  const common = ['--issuer', issuer, '--audience', AUDIENCE];
  return {
    '--discover': [...common, '--discover'],
    '--jwks-url': [...common, '--jwks-url', issuer + KEYS, '--typ', 'at+jwt'],
  };
}

function asking(provider, ...flags) {
  const url = provider.issuer + INTROSPECTION;
  const client = ['--introspect-client', provider.asker.client_id, '--introspect-secret-env', 'INTROSPECTION_SECRET'];
  return ['--audience', AUDIENCE, '--introspect', url, ...client, ...flags];
}

async function checkJwts(way, provider, stranger) {
  const { issuer } = provider;
  const name = (text) => `${way}, ${text}`;
  const before = { jwks: await provider.count(KEYS), metadata: await provider.count(METADATA) };
  const server = await Server.start(ways(issuer)[way]);

  const tokens = {};
  for (const alg of NAMES) {
    const form = (text) => name(`${alg}, ${text}`);
    const [read, both, none] = await mintByScope(provider, alg);
    tokens[alg] = read;
    await check(form("the provider's token is what it should be"), async () => {
      assert.deepEqual(decode(read.split('.')[0]), { alg, typ: 'at+jwt', kid: `${alg}-1` });
    });
    await check(form('good token'), accepts, server, read, issuer);
    await check(form('two scopes'), accepts, server, both, issuer, ['read', 'write']);
    await check(form('no scope'), accepts, server, none, issuer, []);
    await check(form('/orders by scope'), limitsScope, server, read, both, none);
    const others = NAMES.filter((other) => other !== alg);
    await check(form('more scope than was signed'), refuses, server, altered(read, {}, { scope: 'read write' }));
    await check(form('another subject'), refuses, server, altered(read, {}, { sub: 'admin' }));
    await check(form('another signature'), refuses, server, resigned(read));
    await check(form('no signature'), refuses, server, unsigned(read));
    await check(form('other algorithms'), refuses, server, ...others.map((other) => altered(read, { alg: other })));
    await check(form('other keys'), refuses, server, ...others.map((other) => altered(read, { kid: `${other}-1` })));
    await check(form('another audience'), refuses, server, await provider.mint(alg, { audience: ELSEWHERE }));
    await check(form('another issuer with the same keys'), refuses, server, await stranger.mint(alg));
  }
  await check(name('an opaque token'), refuses, server, await provider.mint('opaque'));
  await check(name('/healthz'), reports, server, { issuer, generation: 1 });
  await check(name('the keys were fetched once'), counts, provider, KEYS, before.jwks + 1);
  const metadata = before.metadata + (way === '--discover' ? 1 : 0);
  await check(name('the metadata too, if at all'), counts, provider, METADATA, metadata);

  await check(name('20 unknown keys at once'), async () => {
    const unknown = Array.from({ length: 20 }, (_, index) => altered(tokens.ES256, { kid: `unknown-${index}` }));
    await Promise.all(unknown.map((token) => refuses(server, token)));
  });
  await check(name('they led to one more fetch'), counts, provider, KEYS, before.jwks + 2);
  await check(name('good token, after all refusals'), accepts, server, tokens.RS256, issuer);
  await check(name('/healthz, of the same keys'), reports, server, { issuer, generation: 1 });
  await server.stop();
}

/** Gives a check to make later: that a revoked token is refused even where it was remembered. */
async function checkOpaque(provider) {
  const { issuer } = provider;
  const { client_secret: secret } = provider.asker;
  const name = (text) => `--introspect, ${text}`;
  const server = await Server.start(asking(provider), secret);
  const [read, both, none] = await mintByScope(provider, 'opaque');

  const before = await provider.count(INTROSPECTION);
  await check(name('8 requests at once with one token'), () =>
    Promise.all(Array.from({ length: 8 }, () => accepts(server, read, issuer))),
  );
  await check(name('the same token again'), accepts, server, read, issuer);
  await check(name('the provider was asked once'), counts, provider, INTROSPECTION, before + 1);
  await check(name('two scopes'), accepts, server, both, issuer, ['read', 'write']);
  await check(name('no scope'), accepts, server, none, issuer, []);
  await check(name('/orders by scope'), limitsScope, server, read, both, none);
  await check(name('unknown token'), refuses, server, 'x'.repeat(43));
  await check(name('another audience'), refuses, server, await provider.mint('opaque', { audience: ELSEWHERE }));

  const jwt = await provider.mint('ES256');
  await check(name("a JWT is 400 unsupported_token_type in the provider's words"), async () => {
    const { client_id: id, client_secret } = provider.asker;
    const basic = Buffer.from([id, client_secret].map(encodeURIComponent).join(':')).toString('base64');
    const headers = { authorization: `Basic ${basic}` };
    const body = new URLSearchParams({ token: jwt });
    const response = await fetch(issuer + INTROSPECTION, { method: 'POST', headers, body });
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error, 'unsupported_token_type');
  });
  await check(name('a JWT'), refuses, server, jwt);

  const misled = await Server.start(asking(provider), 'wrong');
  await check(name('our own secret is wrong'), cannotSay, misled, read, { retryAfter: false });
  await misled.stop();

  const mixed = await Server.start(asking(provider, '--discover', '--issuer', issuer), secret);
  await check(name('beside --discover, an opaque token'), accepts, mixed, read, issuer);
  await check(name('beside --discover, an unknown opaque token'), refuses, mixed, 'y'.repeat(43));
  await check(name('beside --discover, a JWT'), accepts, mixed, jwt, issuer);
  await check(name('beside --discover, a JWT with another signature'), refuses, mixed, resigned(jwt));
  await mixed.stop();

  const revoked = await provider.mint('opaque');
  await check(name('a token before it is revoked'), accepts, server, revoked, issuer);
  const accepted = Date.now();
  await provider.revoke(revoked);
  const fresh = await Server.start(asking(provider), secret);
  await check(name('a revoked token, nothing remembered'), refuses, fresh, revoked);
  await check(name('a token that was not revoked'), accepts, fresh, read, issuer);
  await fresh.stop();

  return async () => {
    const left = ANSWER_AGE - (Date.now() - accepted) / 1000;
    const refused = async () => (await server.get('/me', revoked)).status === 401;
    const promise = `a revoked token, remembered for at most ${ANSWER_AGE} s`;
    await check(name(promise), until, 'refusal', left + SLACK, refused);
    await check(name('a token that was not revoked, at the end'), accepts, server, read, issuer);
    await server.stop();
  };
}

/** Requests from several loops at once, each with a token minted for it. */
class Load {
  static LOOPS = 8;

  constructor(provider, server) {
    this.wrong = [];
    this.byKey = {};
    this.held = [];
    this.sent = 0;
    this.ends = false;
    this.loops = Array.from({ length: Load.LOOPS }, (_, index) => this.loop(provider, server, index));
  }

  async loop(provider, server, index) {
    for (let turn = index; !this.ends; turn += 1) {
      const fresh = await provider.mint(NAMES[turn % NAMES.length]);
      // Those held are sent besides.
      const held = this.held[turn % NAMES.length];
      for (const token of held ? [fresh, held] : [fresh]) {
        const { status } = await server.get('/me', token);
        if (status !== 200) this.wrong.push(`${status} ${kid(token)}`);
        this.byKey[kid(token)] = (this.byKey[kid(token)] ?? 0) + 1;
        this.sent += 1;
      }
    }
  }

  /** Goes on for at least that long, and for at least 100 requests. */
  async phase(seconds) {
    const [start, sent] = [Date.now(), this.sent];
    await until('100 requests', 20, () => this.sent >= sent + 100 && Date.now() >= start + seconds * 1000);
  }

  async end() {
    this.ends = true;
    await Promise.all(this.loops);
  }
}

async function checkRotation(way, provider, first, second) {
  const { issuer } = provider;
  const name = (text) => `rotation with ${way}, ${text}`;
  await provider.publish(first);
  const server = await Server.start(ways(issuer)[way]);
  const held = await Promise.all(NAMES.map((alg) => provider.mint(alg)));
  const before = await provider.count(KEYS);
  await accepts(server, held[0], issuer);

  const load = new Load(provider, server);
  await load.phase(1);
  load.held = held;
  await provider.publish([...second, ...first]);
  await load.phase(1.5);
  load.held = [];
  await provider.publish(second);
  await load.phase(1.5);
  await load.end();

  await check(name(`${load.sent} requests of ${Load.LOOPS} loops, all answered with 200`), async () => {
    assert.deepEqual(load.wrong, [], load.wrong.slice(0, 5).join(', '));
  });
  await check(name('with tokens of all the old keys and all the new ones'), async () => {
    assert.deepEqual(Object.keys(load.byKey).sort(), [...first, ...second].map((key) => key.kid).sort());
  });
  await check(name('one fetch for the first keys, one for the new ones'), counts, provider, KEYS, before + 2);
  await check(name('/healthz'), reports, server, { issuer, generation: 2 });
  await server.stop();
}

async function checkOutage(first, second) {
  const provider = await Provider.start(first);
  const { issuer } = provider;
  const { client_secret: secret } = provider.asker;
  const name = (text) => `provider down, ${text}`;

  const warm = await Server.start(ways(issuer)['--discover']);
  const asker = await Server.start(asking(provider), secret);
  const known = await Promise.all(NAMES.map((alg) => provider.mint(alg)));
  const [remembered, unasked] = await Promise.all([provider.mint('opaque'), provider.mint('opaque')]);
  const acceptsKnown = () => Promise.all(known.map((token) => accepts(warm, token, issuer)));
  await acceptsKnown();
  await accepts(asker, remembered, issuer);
  // Signed by a key that the server has not seen yet.
  await provider.publish([...second, ...first]);
  const next = await provider.mint('ES256');
  await provider.stop();

  await check(name('known keys'), acceptsKnown);
  await check(name('a known key and another signature'), refuses, warm, resigned(known[0]));
  await check(name('/healthz'), reports, warm, { issuer, generation: 1 });
  await check(name('a new key: 503 with Retry-After'), cannotSay, warm, next);
  await check(name('/healthz has the error'), reports, warm, { issuer, generation: 1, failed: true });
  await check(name('known keys, after that'), acceptsKnown);
  await check(name('an opaque token, remembered'), accepts, asker, remembered, issuer);
  await check(name('an opaque token, not remembered: 503'), cannotSay, asker, unasked, { retryAfter: false });

  const cold = {};
  for (const [way, flags] of Object.entries(ways(issuer))) {
    await check(name(`a server with ${way} starts and listens at once`), async () => {
      cold[way] = await startAtOnce(flags, issuer);
    });
    await check(name(`a new server with ${way}: 503 with Retry-After`), cannotSay, cold[way], known[0]);
    await check(name(`a new server with ${way}: /healthz has the error`), reports, cold[way], {
      issuer,
      generation: 0,
      cold: true,
      failed: true,
    });
    await check(name(`a new server with ${way}: no token is 401`), async () => {
      assert.equal((await cold[way].get('/me')).status, 401);
    });
  }

  await provider.start([...second, ...first]);
  const back = (text) => `provider back, ${text}`;
  for (const [way, server] of Object.entries(cold)) {
    await check(back(`the new server with ${way}`), until, 'status 200', COOLDOWN, () => isGood(server, next));
    await check(back(`the new server with ${way}: /healthz`), reports, server, { issuer, generation: 1 });
  }
  await check(back('an opaque token'), accepts, asker, await provider.mint('opaque'), issuer);
  await check(back('known keys all the while, then the new key'), until, 'status 200', COOLDOWN + SLACK, async () => {
    await acceptsKnown();
    return isGood(warm, next);
  });
  await check(back('/healthz'), reports, warm, { issuer, generation: 2 });
  await Promise.all([...Object.values(cold), asker].map((server) => server.stop()));

  const hung = (text) => `provider hanging, ${text}`;
  let late;
  provider.hang();
  await check(hung('a server starts and listens at once'), async () => {
    late = await startAtOnce(ways(issuer)['--discover'], issuer);
  });
  await check(hung(`no keys yet: 503 with Retry-After within ${DEADLINE} s`), cannotSay, late, next);
  await check(hung('known keys at once'), async () => {
    const start = Date.now();
    await acceptsKnown();
    assert.ok(Date.now() - start < AT_ONCE * 1000, `after ${Date.now() - start} ms`);
  });
  await check(hung('/healthz'), reports, late, { issuer, generation: 0, cold: true, failed: true });
  provider.resume();
  await check(hung('no longer'), until, 'status 200', COOLDOWN, () => isGood(late, next));
  await Promise.all([late.stop(), warm.stop(), provider.stop()]);
}

/** A server that waits for nobody. */
async function startAtOnce(flags, issuer) {
  const start = Date.now();
  const server = await Server.start(flags);
  await reports(server, { issuer, generation: 0, cold: true });
  assert.ok(Date.now() - start < AT_ONCE * 1000, `after ${Date.now() - start} ms`);
  return server;
}

async function isGood(server, token) {
  return (await server.get('/me', token)).status === 200;
}

async function main() {
  const [first, second] = await Promise.all([keySet(1), keySet(2)]);
  const [provider, stranger] = await Promise.all([Provider.start(first), Provider.start(first)]);
  try {
    await check('the provider publishes a key for each algorithm', async () => {
      const { keys } = await (await fetch(provider.issuer + KEYS)).json();
      assert.deepEqual(keys.map((key) => key.alg), NAMES);
    });
    const revocation = await checkOpaque(provider);
    for (const way of Object.keys(ways(''))) await checkJwts(way, provider, stranger);
    for (const way of Object.keys(ways(''))) await checkRotation(way, provider, first, second);
    await checkOutage(first, second);
    await revocation();
  } catch (error) {
    await check('all steps', () => Promise.reject(error));
  }
  if (!close()) console.log(provider.output + stranger.output);
  // Ends the children too.
  process.exit();
}

await main();
