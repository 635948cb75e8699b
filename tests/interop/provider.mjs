// A certified identity provider on loopback, for a parent process that sends it calls. It ends with the parent.
//
//   listen({ keys, port, clients })  begins; port 0 takes a free one; gives the issuer
//   publish(keys)                    replaces the key set; of two keys for one algorithm the first one signs
//   counts()                         gives how many requests each path got
//
// A resource names the audience and what its tokens are: https://orders.example/ES256, https://orders.example/opaque.

import { once } from 'node:events';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const SCOPES = 'read write';

let clients;
let issuer;
let respond;
const counted = new Map();

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, issuer);
  counted.set(pathname, (counted.get(pathname) ?? 0) + 1);
  respond(request, response);
});

const calls = {
  async listen({ keys, port, ...rest }) {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    issuer = `http://127.0.0.1:${server.address().port}`;
    clients = rest.clients;
    calls.publish(keys);
    return issuer;
  },

  publish(keys) {
    respond = new Provider(issuer, configuration(keys)).callback();
  },

  counts() {
    return Object.fromEntries(counted);
  },
};

function configuration(keys) {
  return {
    adapter: Memory,
    clients,
    jwks: { keys },
    responseTypes: [],
    ttl: { ClientCredentials: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: (_, client) => !client.grantTypes.length },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    },
  };
}

function resourceServer(_, resource) {
  const { origin, pathname } = new URL(resource);
  const form = pathname.slice(1);
  const common = { audience: origin, scope: SCOPES };
  if (form === 'opaque') return { ...common, accessTokenFormat: 'opaque' };
  return { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg: form } } };
}

/** What the provider keeps: here for as long as the process lives, whichever keys it has. */
class Memory {
  static #entries = new Map();

  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload) {
    Memory.#entries.set(`${this.model} ${id}`, payload);
  }

  async find(id) {
    return Memory.#entries.get(`${this.model} ${id}`);
  }

  async destroy(id) {
    Memory.#entries.delete(`${this.model} ${id}`);
  }
}

process.on('disconnect', () => process.exit());
process.on('message', async ({ call, value }) => {
  try {
    process.send({ value: await calls[call](value) });
  } catch (error) {
    process.send({ error: error.message });
  }
});
