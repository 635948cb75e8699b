// The health service, called with @grpc/grpc-js, and over gRPC-Web with fetch.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

import { TIMEOUT, check, close } from './checks.mjs';

const { NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED } = grpc.status;

const proto = protoLoader.loadSync(fileURLToPath(new URL('health.proto', import.meta.url)), {
  defaults: true,
  enums: String,
});
const { Health } = grpc.loadPackageDefinition(proto).grpc.health.v1;

/** One connection; the credential of a call goes out as one metadata entry. */
class Client {
  constructor(address) {
    this.stub = new Health(address, grpc.credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
    this.check = this.check.bind(this);
    this.watch = this.watch.bind(this);
  }

  check(credential, service = '') {
    return new Promise((resolve, reject) => {
      this.stub.check({ service }, metadata(credential), deadline(), (error, answer) =>
        error ? reject(error) : resolve(answer.status),
      );
    });
  }

  /** The first message of the stream. */
  watch(credential) {
    return new Promise((resolve, reject) => {
      const stream = this.stub.watch({ service: '' }, metadata(credential), deadline());
      // Cancelling ends in an error as well; by then the promise is settled.
      stream.on('error', reject);
      stream.on('end', () => reject(new Error('the stream ended without a message')));
      stream.on('data', (answer) => {
        resolve(answer.status);
        stream.cancel();
      });
    });
  }

  close() {
    this.stub.close();
  }
}

function metadata(credential) {
  const entries = new grpc.Metadata();
  if (credential) entries.set('authorization', credential);
  return entries;
}

function deadline() {
  return { deadline: Date.now() + TIMEOUT };
}

async function serves(call, credential) {
  assert.equal(await call(credential), 'SERVING');
}

async function refuses(call, credential, { code = UNAUTHENTICATED, saying = '' } = {}) {
  await assert.rejects(call(credential), (error) => {
    assert.equal(grpc.status[error.code], grpc.status[code], `code (message "${error.details}")`);
    assertMessage(error.details, credential, saying);
    return true;
  });
}

function assertMessage(message, credential, saying = '') {
  assert.ok(message, 'the message is empty');
  // The library's own words for a response that is plain HTTP name its status.
  assert.ok(!/http/i.test(message), `the message is of HTTP: ${message}`);
  assert.ok(message.includes(saying), `the message does not say "${saying}": ${message}`);
  assert.ok(!credential || !message.includes(credential), 'the message holds the credential');
}

async function reportsNotFound(client, credential) {
  await assert.rejects(client.check(credential, 'absent'), { code: NOT_FOUND });
}

/** What a browser would see: the outcome in the response's headers, under status 200. */
async function refusesWeb(address, format, credential) {
  const response = await fetch(`http://${address}/grpc.health.v1.Health/Check`, {
    method: 'POST',
    headers: {
      'content-type': format,
      'x-grpc-web': '1',
      ...(credential && { authorization: credential }),
    },
    // One empty message: no flags, length 0.
    body: new Uint8Array(5),
    signal: AbortSignal.timeout(TIMEOUT),
  });
  await response.arrayBuffer();
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('grpc-status'), String(UNAUTHENTICATED));
  assertMessage(response.headers.get('grpc-message'), credential);
  assert.ok(format.startsWith(response.headers.get('content-type')), 'another content type');
}

async function checkPrinted({ address, good, forged, expired }) {
  const client = new Client(address);
  const bearer = `Bearer ${good}`;
  await check('Check, good token', serves, client.check, bearer);
  await check('Check, scheme in small letters', serves, client.check, `bearer ${good}`);
  await check('Check, no token', refuses, client.check);
  await check('Check, forged token', refuses, client.check, `Bearer ${forged}`);
  await check('Check, expired token', refuses, client.check, `Bearer ${expired}`, { saying: 'expired' });
  await check('Check, another scheme', refuses, client.check, 'Basic YWxpY2U6c2VjcmV0');
  await check('Check, a scheme alone', refuses, client.check, 'Bearer');
  await check('Check, two tokens in one entry, good and good', refuses, client.check, `${bearer}, ${bearer}`);
  await check('Check, two tokens in one entry, good and forged', refuses, client.check, `${bearer}, Bearer ${forged}`);
  await check('Watch, good token', serves, client.watch, bearer);
  await check('Watch, no token', refuses, client.watch);
  await check('Watch, expired token', refuses, client.watch, `Bearer ${expired}`, { saying: 'expired' });
  await check('Check of an absent service, good token: the service\'s own error', reportsNotFound, client, bearer);
  await check('Check, good token, after all refusals', serves, client.check, bearer);
  client.close();

  for (const format of ['application/grpc-web+proto', 'application/grpc-web-text']) {
    await check(`${format}, no token`, refusesWeb, address, format);
    await check(`${format}, forged token`, refusesWeb, address, format, `Bearer ${forged}`);
  }
}

async function checkMinted(minted) {
  const client = new Client(minted.address);
  for (const name of ['read', 'read_write']) {
    await check(`Watch, scope ${name}`, serves, client.watch, `Bearer ${minted[name]}`);
  }
  for (const name of ['write', 'no_scope']) {
    const bearer = `Bearer ${minted[name]}`;
    await check(`Check, scope ${name}`, serves, client.check, bearer);
    await check(`Watch, scope ${name}`, refuses, client.watch, bearer, { code: PERMISSION_DENIED, saying: 'scope' });
  }
  await check('Check, expired HS256 token', refuses, client.check, `Bearer ${minted.expired}`, { saying: 'expired' });
  for (const [name, token] of Object.entries(minted.refused)) {
    await check(`Check, ${name}`, refuses, client.check, `Bearer ${token}`);
  }
  client.close();
}

const { printed, minted } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
await checkPrinted(printed);
await checkMinted(minted);
close();
