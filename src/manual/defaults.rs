//! Every default, and why it is what it is.
//!
//! # Tokens
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | issuer, audience | none: building fails | a token for another service, or from another issuer, is a good token of somebody else's (RFC 8725 §3.8, §3.9) | `insecure_any_issuer`, `insecure_any_audience` |
//! | `exp` | demanded | a token that never ends cannot be outwaited | `insecure_allow_missing_expiry` |
//! | `nbf`, `iat` | judged where present | RFC 7519 §4.1.5; a token from the future was made by a wrong clock or a forger | – |
//! | leeway | 30 s | machines that keep time differ by less; verifiers in use allow 0 to 300 s | `with_leeway` |
//! | `typ` | absent, `JWT`, `at+jwt` | excludes logout tokens, DPoP proofs and whatever else is typed (RFC 8725 §3.11) | `with_types`, `access_token_profile` |
//! | `token_use` other than `access`, `at_hash`, `c_hash`, `s_hash`, `events`, Keycloak's `typ` | refused | they mark ID tokens, refresh tokens and logout tokens | `insecure_accept_id_tokens` |
//! | `cnf` | refused | a bound token without a proof is a stolen one (RFC 9449 §7.2, RFC 8705 §3) | `insecure_ignore_confirmation` |
//! | length of a token | 16 KiB | servers allow one header about that much; real tokens are below 4 KiB | `with_max_token_bytes` |
//! | accepted tokens that are remembered | 131,072, and 256 MiB | more than are good at a time at most servers; a remembered answer is the one that a fresh check would give | `with_remembered` |
//! | their headers, which are not read again | 16, and 16 KiB | one or two keys are in use at a time | – |
//! | JSON | 32 levels, 512 members and elements, each name once | real tokens have 2 levels and some 20 members; the rest is an attack or a fault | – |
//! | key id | 512 bytes | it is only compared; nothing longer is in use | – |
//! | scopes | the claim `scope`, a string or an array of strings | RFC 8693 §4.2; some issuers write arrays | `with_scope_claim` |
//! | subject | the claim `sub`, else empty | RFC 7519 makes it optional; a client's id in its place could be a user's name (RFC 9068 §5) | `with_subject_claim` |
//!
//! # Keys
//!
//! | what | default | reason |
//! |---|---|---|
//! | RSA | 2048 to 8192 bits (4096 with `rust-crypto`), an odd exponent from 3 to 2^33 - 1, no ROCA modulus | RFC 7518 §3.3; what the backend computes with; CVE-2017-15361 |
//! | HMAC | at least the size of the hash, and not guessable | RFC 7518 §3.2, RFC 8725 §3.5 |
//! | an RSA key without `alg` | RS256 | the algorithm every issuer has to support (RFC 9068 §2.1) |
//! | keys of one set | at most 100, each key id once, secret or public but not both | no provider publishes more; a published secret is none |
//! | a key looked up by claim | the value is a string of at most 256 bytes | it is read before the signature is verified |
//!
//! # Keys from elsewhere
//!
//! | what | default | reason |
//! |---|---|---|
//! | URLs | `https`, no user information, no redirects | a key set over plain HTTP is anybody's |
//! | lifetime of a set | 10 min; the provider's `max-age` within 1 min and 24 h | what most verifiers use; a provider's mistake must not make us ask at every request, nor never |
//! | refresh | in the background at 80 % of the lifetime, more or less a tenth | no request waits, and a fleet does not ask in step |
//! | an unknown key id | one fetch in 10 s, good or bad; until then 401, or 503 if that fetch failed | found at once after a rotation, and useless to a stranger |
//! | a failed fetch | again after 1 s, 2 s, 4 s and so on to 60 s | a provider that comes back is not buried |
//! | last known good | 24 h | longer than any outage, shorter than a key that was stolen should live |
//! | one fetch | 3 s in all, 1 s to connect, 256 KiB, 100 keys | a cold request is answered by then; no provider publishes more |
//! | in a published set: secrets, weak or malformed keys, keys that share an id | dropped one by one | whoever can read a secret could sign; and one bad key is no reason to refuse the others |
//!
//! # Introspection
//!
//! | what | default | reason |
//! |---|---|---|
//! | age of an answer | none: [`CachedVerifier::new`] demands it | it is the time for which a revoked token goes on being accepted |
//! | age of a refusal | 5 s | takes the weight of a client that tries again at once |
//! | memory | 10,000 answers of each kind, 16 MiB | bounded, whatever comes |
//! | calls in the air | 64, and 3 s for each with the wait for its turn | does not bury the endpoint, nor the caller |
//!
//! [`CachedVerifier::new`]: crate::verify
//!
//! # Refusals
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | realm | `api` | RFC 6750 §3 wants at least one parameter in a challenge | [`with_realm`] |
//! | `error_description` | one sentence for each kind, and one for an expired token | tells a client what to do, and an attacker nothing | [`terse`] |
//! | `Retry-After` of an outage | 5 s | long enough not to add to it | [`with_retry_after`] |
//! | body | empty | the status and the challenge say it all | [`Problem`], [`Message`], or a closure |
//! | credentials over plain HTTP | accepted | behind a proxy every request looks plain; only you know the sign | [`https_only`] |
//!
//! # Failed credentials
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | failures of a peer | 100, and one more each second | many users share an address, and an expired token is a failure, too; what is bounded is work and noise | `LimitFailuresLayer::with_rate` |
//! | a peer | an IPv4 address, an IPv6 /64 | the other half of an IPv6 address is the host's to choose (RFC 8981) | – |
//! | peers remembered | 65,536 | some MiB | `with_capacity` |
//! | what failures in the air owe beyond the limit | at most the burst again | nobody waits for hours because of a neighbour | – |
//!
//! # Issuing
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | lifetime of a token | 1 h; of an app's token of 2bttns, 24 h | what most issuers give, and what that one gives | `Mint::with_lifetime` |
//! | a lifetime that a client asks for | up to 366 days, and the contract's ceiling | nobody outlives a year without being asked | `TokenContract::with_max_lifetime` |
//! | a request | 64 KiB, within 10 s, 64 parameters, each once | RFC 6749 §3.2; a form with an assertion in it has 4 KiB | – |
//! | a refresh token | for clients that ask for `offline_access` and may have it; one use, within 30 days | RFC 6749 §4.4.3; RFC 9700 §4.14.2 | `TokenEndpoint::with_refresh_tokens` |
//! | an assertion | good for an hour at most, for one use | it has to be remembered for as long | – |
//! | a secret that a human chose | Argon2id, 19 MiB, two passes | RFC 9106; the OWASP password storage guide | – |
//! | a signing key | signs for 90 days, is published a day before, and two days after | verifiers may keep a set for a day; no token of ours is good for longer than a day | `KeyRing` |
//! | the published key set | may be kept for 10 min | long before a key in it signs | – |
//!
//! # Personal access tokens
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | the secret | 30 of base62, 178 bits | GitHub's format of 2021, and NetBird's | – |
//! | lifetime | 1 to 365 days | NetBird's limits | – |
//! | a remembered answer | none: [`PatVerifier::cached`] demands its age | it is the time for which a revoked token may go on being accepted by a machine that does not hear of it | – |
//! | `last_used` | once a minute, in the background | NetBird's gRPC interceptor; a write for each request is a write too many | – |
//! | digests | SHA-256 of the whole token | nothing to guess in 178 bits, and NetBird's rows can be taken over | – |
//!
//! [`PatVerifier::cached`]: crate::verify
//!
//! # Tokens that go out
//!
//! | what | default | reason | change it with |
//! |---|---|---|---|
//! | where a token goes | to the origins of the layer, and over `https` | RFC 6750 §5.3; followers of redirects sent tokens elsewhere in more than one client | `Origins::insecure_http_loopback` |
//! | an `Authorization` header that is there | left alone | whoever put it there meant it | `replace_existing` |
//! | requests sent again | none | a body may not be there twice | `retry_unauthorized` |
//! | soft window, refreshed in the background | 20 % of the lifetime, 30 s to 5 min, at most half; ±10 % | other clients refresh 1 to 5 min ahead; a fleet does not do it in step | – |
//! | hard window, in which callers wait | 10 s, at most a tenth | clocks and networks differ by less | – |
//! | one refresh | 10 s, for everybody together | a caller that waits longer has given up | – |
//! | after a transient failure | 1 s, doubled up to 30 s; `Retry-After` up to an hour | soon enough to go unnoticed, seldom enough to add nothing to an outage | – |
//! | after a permanent failure | 10 s, 20 s, 30 s | nobody mends credentials sooner | – |
//! | a replacement that is refused too | kept for 10 s | the server refuses everything, and would be asked for each call | – |
//! | lifetime that nobody states | the `exp` of a JWT, else 5 min | read to know when to ask again, trusted for nothing | `with_default_lifetime` |
//! | lifetime beyond 2147483647 s | that | what no signed 32-bit number can hold is not meant (golang.org/x/oauth2) | `with_max_lifetime` |
//! | answer of a token endpoint | 1 MiB, within 10 s, no redirect, not encoded | no token answer comes near; the request has a secret in it | – |
//! | a token of another type | refused | RFC 6749 §7.1 | `with_token_type` |
//!
//! [`with_realm`]: crate::respond::Challenge::with_realm
//! [`terse`]: crate::respond::Challenge::terse
//! [`with_retry_after`]: crate::Rejection::with_retry_after
//! [`Message`]: crate::respond::Message
//! [`Problem`]: crate::respond::Problem
//! [`https_only`]: crate::AuthenticateLayer::https_only
