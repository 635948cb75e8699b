use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::identity::Identity;
use crate::rejection::{Rejection, RejectionKind};
use crate::request_head::RequestHead;
use crate::scope::Scopes;

/// Says whether an identity may make a request.
///
/// Any `Fn(&Identity, RequestHead<'_>) -> Result<(), Rejection>` is a policy; say no with
/// [`Rejection::forbidden`] or [`Rejection::insufficient_scope`].
pub trait Policy: Send + Sync + 'static {
    /// Judges one request.
    ///
    /// # Errors
    ///
    /// The refusal, if the request may not be made.
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection>;

    /// The same policy, boxed, to stand in a list beside others.
    fn boxed(self) -> Box<dyn Policy>
    where
        Self: Sized,
    {
        Box::new(self)
    }
}

impl<F> Policy for F
where
    F: Fn(&Identity, RequestHead<'_>) -> Result<(), Rejection> + Send + Sync + 'static,
{
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection> {
        self(identity, request)
    }
}

impl Policy for Box<dyn Policy> {
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection> {
        (**self).check(identity, request)
    }
}

/// Demands one scope value. A value that breaks the grammar of RFC 6749 §3.3 can never be granted, so
/// it refuses everybody.
pub fn scope(value: &str) -> Scope {
    all_scopes([value])
}

/// Demands every one of the values, separate or in one space-separated list.
pub fn all_scopes<'a>(values: impl IntoIterator<Item = &'a str>) -> Scope {
    Scope { required: union(values), every: true }
}

/// Demands at least one of the values.
pub fn any_scope<'a>(values: impl IntoIterator<Item = &'a str>) -> Scope {
    Scope { required: union(values), every: false }
}

fn union<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Scopes> {
    let union = values.into_iter().map(|value| Scopes::parse(value).ok()).collect::<Option<Scopes>>()?;
    Some(union).filter(|union| !union.is_empty())
}

/// See [`scope`], [`all_scopes`] and [`any_scope`].
#[derive(Clone, Debug)]
pub struct Scope {
    /// `None`: nothing that anybody could have.
    required: Option<Scopes>,
    every: bool,
}

impl Policy for Scope {
    fn check(&self, identity: &Identity, _: RequestHead<'_>) -> Result<(), Rejection> {
        let Some(required) = &self.required else { return Err(Rejection::forbidden()) };
        let granted = identity.scopes();
        let enough = if self.every { granted.contains_all(required) } else { granted.contains_any(required) };
        if enough { Ok(()) } else { Err(Rejection::insufficient_scope(required.clone())) }
    }
}

/// Demands a claim of exactly this value.
pub fn claim(name: impl Into<String>, value: impl Into<Value>) -> Claim {
    Claim { name: name.into(), value: value.into() }
}

/// See [`claim`].
#[derive(Clone, Debug)]
pub struct Claim {
    name: String,
    value: Value,
}

impl Policy for Claim {
    fn check(&self, identity: &Identity, _: RequestHead<'_>) -> Result<(), Rejection> {
        if identity.claim(&self.name) == Some(&self.value) { Ok(()) } else { Err(Rejection::forbidden()) }
    }
}

/// Refuses every request.
pub fn deny() -> Deny {
    Deny
}

/// See [`deny`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Deny;

impl Policy for Deny {
    fn check(&self, _: &Identity, _: RequestHead<'_>) -> Result<(), Rejection> {
        Err(Rejection::forbidden())
    }
}

/// Demands that every policy allows; the first refusal is the answer. No policy at all refuses.
pub fn all(policies: impl IntoIterator<Item = Box<dyn Policy>>) -> All {
    All(Vec::from_iter(policies))
}

/// See [`all`].
pub struct All(Vec<Box<dyn Policy>>);

impl Policy for All {
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection> {
        if self.0.is_empty() {
            return Err(Rejection::forbidden());
        }
        self.0.iter().try_for_each(|policy| policy.check(identity, request))
    }
}

/// Demands that one of the policies allows; asked in order. If none does, the first refusal is the
/// answer, unless one of them could not decide: then that. No policy at all refuses.
pub fn any(policies: impl IntoIterator<Item = Box<dyn Policy>>) -> Any {
    Any(Vec::from_iter(policies))
}

/// See [`any`].
pub struct Any(Vec<Box<dyn Policy>>);

impl Policy for Any {
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection> {
        let mut refusal: Option<Rejection> = None;
        for policy in &self.0 {
            match policy.check(identity, request) {
                Ok(()) => return Ok(()),
                Err(rejection) if rejection.kind() == RejectionKind::Unavailable => refusal = Some(rejection),
                Err(rejection) => refusal = refusal.or(Some(rejection)),
            }
        }
        Err(refusal.unwrap_or_else(Rejection::forbidden))
    }
}

/// A policy for each path, or each gRPC method; what no rule names is refused.
///
/// The path is compared as it stands in the request, byte for byte: other spellings of it (a doubled
/// slash, `%2f`, a dot segment) are other paths. A prefix ends with a slash, the longest one that fits
/// is taken, and no prefix fits a path with such a spelling in it.
#[derive(Default)]
#[must_use]
pub struct ByPath {
    exact: Vec<(Cow<'static, str>, Box<dyn Policy>)>,
    prefixes: Vec<(Cow<'static, str>, Box<dyn Policy>)>,
}

impl ByPath {
    /// No rule: everything is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// For this very path; `/package.Service/Method` for a gRPC method. The first rule for a path
    /// counts.
    pub fn exact(mut self, path: impl Into<Cow<'static, str>>, policy: impl Policy) -> Self {
        self.exact.push((path.into(), policy.boxed()));
        self
    }

    /// For every path below this one; `/package.Service/` for all methods of a gRPC service. A slash
    /// is added if the prefix has none at its end.
    pub fn below(mut self, prefix: impl Into<Cow<'static, str>>, policy: impl Policy) -> Self {
        let mut prefix = prefix.into();
        if !prefix.ends_with('/') {
            prefix.to_mut().push('/');
        }
        self.prefixes.push((prefix, policy.boxed()));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    fn find(&self, path: &str) -> Option<&dyn Policy> {
        let exact = self.exact.iter().find(|(own, _)| own == path);
        let below = || self.prefixes.iter().find(|(prefix, _)| path.starts_with(&**prefix));
        let rule = exact.or_else(|| if is_ambiguous(path) { None } else { below() });
        rule.map(|(_, policy)| &**policy)
    }
}

/// Paths that some server or proxy would read as another one.
fn is_ambiguous(path: &str) -> bool {
    path.contains(['%', '\\', ';'])
        || path.split('/').skip(1).any(|part| matches!(part, "." | ".."))
        || path.contains("//")
}

impl Policy for ByPath {
    fn check(&self, identity: &Identity, request: RequestHead<'_>) -> Result<(), Rejection> {
        match self.find(request.uri.path()) {
            Some(policy) => policy.check(identity, request),
            None => Err(Rejection::forbidden()),
        }
    }
}

impl fmt::Debug for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "All(<{} policies>)", self.0.len())
    }
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Any(<{} policies>)", self.0.len())
    }
}

impl fmt::Debug for ByPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths =
            |rules: &[(Cow<'static, str>, _)]| rules.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        f.debug_struct("ByPath")
            .field("exact", &paths(&self.exact))
            .field("below", &paths(&self.prefixes))
            .finish()
    }
}

/// `Policy` stays dyn-safe.
const _: fn(&dyn Policy) = |_| {};

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{ByPath, Policy, all, all_scopes, any, any_scope, claim, deny, scope};
    use crate::identity::Identity;
    use crate::rejection::{Rejection, RejectionKind};
    use crate::request_head::RequestHead;
    use crate::scope::Scopes;

    fn check(policy: &impl Policy, path: &str, scopes: &str) -> Result<(), RejectionKind> {
        let identity = Identity::builder("a").scopes(Scopes::parse(scopes).unwrap()).claim("n", 1).build();
        let request = Request::builder().uri(path).body(()).unwrap();
        policy.check(&identity, (&request).into()).map_err(|rejection| rejection.kind())
    }

    fn allow(_: &Identity, _: RequestHead<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn unavailable(_: &Identity, _: RequestHead<'_>) -> Result<(), Rejection> {
        Err(Rejection::unavailable())
    }

    #[test]
    fn scopes() {
        const NO: Result<(), RejectionKind> = Err(RejectionKind::InsufficientScope);
        assert_eq!(check(&scope("a"), "/", "b a"), Ok(()));
        assert_eq!(check(&scope("a"), "/", "ab"), NO);
        assert_eq!(check(&all_scopes(["a", "b"]), "/", "b a"), Ok(()));
        assert_eq!(check(&all_scopes(["a", "b"]), "/", "a"), NO);
        assert_eq!(check(&any_scope(["a", "b"]), "/", "b"), Ok(()));
        assert_eq!(check(&any_scope(["a", "b"]), "/", "c"), NO);
    }

    #[test]
    fn what_says_nothing_refuses() {
        const NO: Result<(), RejectionKind> = Err(RejectionKind::Forbidden);
        assert_eq!(check(&scope(""), "/", "a"), NO);
        assert_eq!(check(&scope("\""), "/", "a"), NO);
        assert_eq!(check(&all_scopes([]), "/", "a"), NO);
        assert_eq!(check(&any_scope([]), "/", "a"), NO);
        assert_eq!(check(&all([]), "/", "a"), NO);
        assert_eq!(check(&any([]), "/", "a"), NO);
        assert_eq!(check(&deny(), "/", "a"), NO);
        assert_eq!(check(&ByPath::new(), "/", "a"), NO);
    }

    #[test]
    fn together() {
        assert_eq!(check(&all([claim("n", 1).boxed(), scope("a").boxed()]), "/", "a"), Ok(()));
        assert_eq!(
            check(&all([claim("n", 2).boxed(), scope("a").boxed()]), "/", "a"),
            Err(RejectionKind::Forbidden)
        );
        assert_eq!(check(&any([claim("n", 2).boxed(), scope("a").boxed()]), "/", "a"), Ok(()));
        assert_eq!(
            check(&any([claim("n", "1").boxed(), scope("b").boxed()]), "/", "a"),
            Err(RejectionKind::Forbidden)
        );
        let undecided = any([deny().boxed(), unavailable.boxed(), deny().boxed()]);
        assert_eq!(check(&undecided, "/", "a"), Err(RejectionKind::Unavailable));
    }

    #[test]
    fn paths_are_exact_atk_31() {
        let policy = ByPath::new().exact("/open", allow).below("/api", allow).below("/api/admin", deny());
        for allowed in ["/open", "/open?x=/admin", "/api/a", "/api/a/b"] {
            assert_eq!(check(&policy, allowed, ""), Ok(()), "{allowed}");
        }
        for refused in [
            "/",
            "/open/",
            "/Open",
            "//open",
            "/open/../x",
            "/%6fpen",
            "/api",
            "/apix",
            "/api/admin/a",
            "/api//admin/a",
            "/api/%61dmin/a",
            "/api/./admin/a",
            "/api/x/../admin/a",
            "/api/x;/a",
            "/api\\admin",
            "/other",
        ] {
            assert_eq!(check(&policy, refused, ""), Err(RejectionKind::Forbidden), "{refused}");
        }
    }
}
