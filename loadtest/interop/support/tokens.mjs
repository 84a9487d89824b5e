// Tokens as an application's own server signs them (RFC 7519, HS256), with the keys of `--dev`.

import { createHmac, randomUUID } from 'node:crypto';

const KEY = 'devkey';
const SECRET = 'devsecret';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * Signs a token.
 * @param {object} choices `troupe` replaces grants, `claims` replaces registered claims, `secret`
 * and `algorithm` are for tokens that must be refused.
 */
export function sign({ room, identity, troupe = {}, claims = {}, ...forged }) {
  const { secret = SECRET, algorithm = 'HS256' } = forged;
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: algorithm, typ: 'JWT' };
  const body = {
    iss: KEY,
    sub: identity,
    iat: now,
    exp: now + 600,
    ...claims,
    troupe: { room, publish: true, subscribe: true, data: true, ...troupe },
  };
  const signed = `${encode(header)}.${encode(body)}`;
  if (algorithm === 'none') return `${signed}.`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** A token for one join. */
export function signOnce(room, identity) {
  return sign({ room, identity, claims: { jti: randomUUID() } });
}
