//! Known attacks on token verifiers, and what meets them here.
//!
//! Each line names a case that happened to somebody. The tests that cover them carry the same ids as the
//! comments there.
//!
//! # Algorithms and keys
//!
//! | attack | a case | here |
//! |---|---|---|
//! | `alg: none`, in any spelling | CVE-2015-9235 | there is no such algorithm to parse to |
//! | a public key used as an HMAC secret | CVE-2022-29217, CVE-2023-48223 | a key has one algorithm from the moment it is made; the text or DER of a key is refused as a secret |
//! | an empty or short secret | GHSA-8wpc-h4q6-8fxv | refused when the key is made |
//! | a key that the token brings (`jwk`, `x5c`) or names (`jku`, `x5u`) | CVE-2018-0114, CVE-2024-21643 | never read |
//! | an issuer that the token names | – | `Issuers` is an exact list; nothing is fetched for another |
//! | a key id used as a path or a query | – | compared, nothing else |
//! | `crit` ignored | CVE-2025-59420 | nothing is understood, so every `crit` refuses |
//! | zero or edge values of ECDSA | CVE-2022-21449 | exact lengths, and a backend that checks the range |
//! | weak or broken keys | CVE-2017-15361 | refused when the key is made |
//! | other spellings of one signature | – | base64url without padding, with zero trailing bits |
//!
//! # Reading
//!
//! | attack | a case | here |
//! |---|---|---|
//! | a million dots | CVE-2025-30204 | the length first, then at most three dots are looked for, and nothing is allocated |
//! | deep or wide JSON | CVE-2025-53864 | 32 levels, 512 members and elements |
//! | a member twice, also under an escaped name | – | refused at every depth |
//! | a claim of a wrong type taken for absent | CVE-2026-25537 | a wrong type refuses |
//! | numbers that overflow | – | saturating arithmetic on 128 bits |
//! | JWE, JSON serialisation, PBES2, compressed content | CVE-2023-51774, CVE-2022-36083, CVE-2024-28176 | three parts of base64url, or nothing |
//! | a part of an issuer's name | CVE-2024-53861 | byte for byte |
//! | no audience checked | CVE-2023-22482 | demanded when the verifier is built |
//! | an ID token, a logout token, a proof as access token | – | `typ`, and the claims that mark them |
//! | a token bound to a key, presented without the key | – | `cnf` refuses |
//! | a group named "x admin" that becomes two scopes | – | an element of an array is one value, or none |
//!
//! # At the door
//!
//! | attack | a case | here |
//! |---|---|---|
//! | two `Authorization` headers, two credentials in one | – | 400 |
//! | odd spaces, tabs, bytes outside of ASCII | – | the grammar of RFC 9110 §11.4, nothing beside it |
//! | `Connection: authorization` | CVE-2025-48865 | 400 |
//! | a rule avoided by another spelling of the path | CVE-2025-54576 | rules are exact, prefixes fit no odd spelling, and what no rule names is refused |
//! | an optional layer that lets bad tokens pass | CVE-2021-21378 | only a missing credential passes |
//! | an identity left by somebody upstream | – | removed before anything else; the type cannot be made from outside without saying so |
//! | an outage answered with 401, so that clients drop good sessions | – | 503, or gRPC's `UNAVAILABLE` |
//! | keys or answers of another issuer, cached under the wrong name | CVE-2025-59936, CVE-2026-49998 | each source has its own cache; answers are kept under a keyed digest of scheme and token |
//! | a key that was removed and is trusted on | CVE-2025-22149 | sets are replaced whole |
//! | a flood of unknown key ids | CVE-2026-48524 | one fetch in ten seconds, and bounded memory |
//! | a provider that hangs, drips, lies or swells | – | deadline, size limit, no decompression, no redirects; the old set stays |
//! | an answer cached beyond the token's end, or its key's | fast-jwt, `jwt_authn` of Envoy | judged again at every use: by the clock, and by the very set of keys that decided |
//! | another user's answer, by a key of the cache that collides | CVE-2026-35039 | found by all bytes of the token; a hash only says where to look |
//! | credentials tried by the thousand, under a header that a limiter trusts | NetBird's API, which looked for `terraform` in `User-Agent` | `LimitFailuresLayer` counts failures by peer, in bounded memory, and reads no header |
//! | a digest compared byte by byte, or a token compared at all | tower-http #585 | tokens are found by their digest; secrets are compared by digest, in constant time |
//! | "not found" for a token that is well-formed, "invalid" for one that is not | NetBird's API | malformed, unknown, expired and revoked are one answer |
//! | a checksum with a dozen spellings | NetBird's decoder | made and compared, never decoded |
//! | tokens in a database that leaks | – | digests; the secrets of clients are digests or password hashes |
//! | a revoked token with its signature in another form | – | what was signed names a token, not its signature |
//! | a revocation that overtakes the answer it voids | – | an answer counts only if nothing it depends on was announced since it was asked for |
//! | a machine that missed the news | – | what it remembers is void when it hears again |
//! | a refresh token that was copied | RFC 9700 §4.14 | one use; the second ends the grant for both |
//! | an assertion sent twice | – | its `jti` is written down, for all machines |
//! | a client's id guessed by the time of the answer | – | a stranger costs what a wrong secret costs |
//! | tokens in logs | CVE-2019-11250 | the header is marked sensitive, and no `Debug` shows a secret |
//!
//! # On the way out
//!
//! | attack | a case | here |
//! |---|---|---|
//! | a token that follows a redirect to another host | CVE-2024-45336, CVE-2023-45289 | a layer is bound to origins, compared at every send; `GuardLayer` inside of a follower |
//! | a secret that follows a redirect of the token endpoint | – | every 3xx is an error |
//! | plain HTTP | RFC 6750 §5.3 | refused when it is built, but for loopback that was asked for |
//! | many refusals at once, many refreshes | – | one flight; a refusal drops that very token and no other |
//! | a new refresh token lost with a caller or a process | – | the refresh is nobody's own, and saves before it gives anything out |
//! | a body sent twice, or sent again empty | – | again only if it is whole, by type or by record |
//! | a token with a line break, a body without end, a negative lifetime | – | checked before it is a token |
//! | a token in a log, or in the memory of HTTP/2's compression | – | the value is sensitive from the start |
//! | 401 without end | – | two sends for a call, one fetch for each 10 s |
