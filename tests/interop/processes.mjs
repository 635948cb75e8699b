// Servers and providers, as child processes that end with this one.

import { fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { TIMEOUT } from './checks.mjs';

export const AUDIENCE = 'https://orders.example';

const children = new Set();

process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function adopt(child) {
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

/** Ends the process, at once. */
async function kill(child) {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Asks `test` again until it gives something true, and gives that. */
export async function until(what, seconds, test) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await test();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await pause(20);
  }
}

/** The example server. */
export class Server {
  static executable = process.argv[2];

  static async start(flags, secret) {
    const server = new Server();
    const args = ['--listen', '127.0.0.1:0', '--insecure-http-loopback', ...flags];
    const env = { ...process.env, INTROSPECTION_SECRET: secret };
    server.child = adopt(spawn(Server.executable, args, { env, stdio: ['ignore', 'pipe', 'inherit'] }));
    const lines = createInterface(server.child.stdout);
    const first = await Promise.race([
      once(lines, 'line', { signal: AbortSignal.timeout(TIMEOUT) }).then(([line]) => line),
      once(lines, 'close').then(() => ''),
    ]);
    server.url = first.match(/^listening on (http:\S+)$/)?.[1];
    if (!server.url) throw new Error(`the server did not listen: ${flags.join(' ')}`);
    return server;
  }

  get(path, token) {
    return this.send('GET', path, token);
  }

  post(path, token) {
    return this.send('POST', path, token);
  }

  async send(method, path, token) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(this.url + path, { method, headers, signal: AbortSignal.timeout(TIMEOUT) });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text };
  }

  stop() {
    return kill(this.child);
  }
}

/** The provider of `provider.mjs`, and its clients: one that gets tokens and one that asks about them. */
export class Provider {
  caller = client('caller', 'client_secret_post', ['client_credentials']);
  // With all that Basic would read as something else, were it not encoded.
  asker = client('orders api', 'client_secret_basic', [], 'a+b c&d:e%/=');
  port = 0;
  output = '';

  static async start(keys) {
    const provider = new Provider();
    await provider.start(keys);
    return provider;
  }

  /** Begins, again on the same port; what it knew of opaque tokens is lost then. */
  async start(keys) {
    const path = fileURLToPath(new URL('provider.mjs', import.meta.url));
    this.child = adopt(fork(path, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (text) => (this.output += text));
    }
    this.waiting = [];
    this.child.on('message', ({ value, error }) => {
      const { resolve, reject } = this.waiting.shift();
      if (error) reject(new Error(`provider: ${error}`));
      else resolve(value);
    });
    this.child.on('exit', () => this.waiting.forEach(({ reject }) => reject(new Error('the provider ended'))));
    this.issuer = await this.call('listen', { keys, port: this.port, clients: [this.caller, this.asker] });
    this.port = Number(new URL(this.issuer).port);
  }

  /** The provider answers calls in their order. */
  call(call, value) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.child.send({ call, value });
    });
  }

  publish(keys) {
    return this.call('publish', keys);
  }

  /** How many requests a path got. */
  async count(path) {
    return (await this.call('counts'))[path] ?? 0;
  }

  /** A token for a resource: `form` is its algorithm, or "opaque". */
  async mint(form, { audience = AUDIENCE, scope = 'read' } = {}) {
    const resource = `${audience}/${form}`;
    const response = await this.post('/token', { grant_type: 'client_credentials', resource, ...(scope && { scope }) });
    return (await response.json()).access_token;
  }

  revoke(token) {
    return this.post('/token/revocation', { token });
  }

  async post(path, form) {
    const { client_id, client_secret } = this.caller;
    const body = new URLSearchParams({ ...form, client_id, client_secret });
    const signal = AbortSignal.timeout(TIMEOUT);
    const response = await fetch(this.issuer + path, { method: 'POST', body, signal });
    if (!response.ok) throw new Error(`provider: ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  /** Takes connections from now on, and answers nothing. */
  hang() {
    this.child.kill('SIGSTOP');
  }

  resume() {
    this.child.kill('SIGCONT');
  }

  stop() {
    return kill(this.child);
  }
}

function client(id, method, grants, secret = '') {
  return {
    client_id: id,
    client_secret: secret + randomBytes(16).toString('hex'),
    token_endpoint_auth_method: method,
    grant_types: grants,
    response_types: [],
    redirect_uris: [],
  };
}
