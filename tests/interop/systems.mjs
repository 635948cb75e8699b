// The five systems, as the JavaScript samples of their public descriptions call them.
//
// usage: node systems.mjs ADDRESS CLIENTS

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { check, close } from './checks.mjs';

const base = `http://${process.argv[2]}`;
const clients = Object.fromEntries(JSON.parse(readFileSync(process.argv[3], 'utf8')).map((row) => [row.contract, row]));

async function me(token, subject, scheme = 'Bearer') {
  const response = await fetch(`${base}/me`, { headers: { Authorization: `${scheme} ${token}` } });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).subject, subject);
}

await check('2bttns', async () => {
  const { id, secret } = clients['two-bttns'];
  const response = await fetch(`${base}/api/authentication/token?${new URLSearchParams({ app_id: id, secret })}`);
  await me(await response.json(), id);
});

await check('GiftHub', async () => {
  const { id, secret, subject } = clients.gifthub;
  const headers = { 'client-id': id, 'client-secret': secret };
  const response = await fetch(`${base}/auth/jwt`, { method: 'POST', headers });
  await me(response.headers.get('Authorization').replace('Bearer ', ''), subject);
});

await check('Botlhale, in parts', async () => {
  const form = new FormData();
  form.append('REFRESH_TOKEN', clients.botlhale.secret);
  const response = await fetch(`${base}/generateAuthToken`, { method: 'POST', body: form });
  await me((await response.json()).AuthenticationResult.IdToken, clients.botlhale.id);
});

await check('Spotnana', async () => {
  const { id, secret } = clients.spotnana;
  const body = new URLSearchParams({ client_id: id, client_secret: secret, grant_type: 'client_credentials' });
  const response = await fetch(`${base}/v2/auth/oauth2-token`, { method: 'POST', body });
  await me((await response.json()).access_token, id);
});

await check('NetBird', async () => {
  const { id, secret, subject } = clients.netbird;
  const body = new URLSearchParams({ client_id: id, client_secret: secret, grant_type: 'client_credentials' });
  const response = await fetch(`${base}/oauth2/token`, { method: 'POST', body });
  const headers = { Authorization: `Bearer ${(await response.json()).access_token}` };
  const made = await fetch(`${base}/api/users/${encodeURIComponent(subject)}/tokens`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ name: 'node', expires_in: 1 }),
  });
  await me((await made.json()).plain_token, subject, 'Token');
});

close();
