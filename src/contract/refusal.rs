use http::StatusCode;

/// How an API says that a token is bad: by its status, or by its status and how the message begins.
///
/// 401 always says so, and so does the gRPC status `UNAUTHENTICATED` in an answer without a body. 403 does
/// not: who was recognised and may not is not helped by another token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    statuses: Vec<StatusCode>,
    messages: Vec<(StatusCode, String)>,
}

impl Refusal {
    /// 401 alone.
    pub fn unauthorized() -> Self {
        Self { statuses: vec![StatusCode::UNAUTHORIZED], messages: Vec::new() }
    }

    /// This status as well, whatever the body.
    #[must_use]
    pub fn or_status(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// This status as well, if the body is a JSON object whose `message` begins so.
    #[must_use]
    pub fn or_message(mut self, status: StatusCode, beginning: impl Into<String>) -> Self {
        self.messages.push((status, beginning.into()));
        self
    }

    /// True if the status alone says so.
    pub fn is_status(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status)
    }

    /// True if the body may say so.
    pub(crate) fn needs_body(&self, status: StatusCode) -> bool {
        !self.is_status(status) && self.messages.iter().any(|(own, _)| *own == status)
    }

    /// True if the status and the body say so.
    pub(crate) fn is_message(&self, status: StatusCode, body: &[u8]) -> bool {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let message = body.get("message").and_then(|message| message.as_str());
        let said = |message: &str| {
            self.messages.iter().any(|(own, start)| *own == status && message.starts_with(start))
        };
        message.is_some_and(said)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Refusal;

    #[test]
    fn a_message_counts_with_its_status_alone_s0_c7() {
        let bad = StatusCode::BAD_REQUEST;
        let refusal = Refusal::unauthorized().or_message(bad, "Invalid token");
        assert!(refusal.needs_body(bad) && !refusal.needs_body(StatusCode::OK));
        assert!(!refusal.needs_body(StatusCode::UNAUTHORIZED) && refusal.is_status(StatusCode::UNAUTHORIZED));
        assert!(refusal.is_message(bad, br#"{"message":"Invalid token app_id","code":"BAD_REQUEST"}"#));
        assert!(!refusal.is_message(StatusCode::CONFLICT, br#"{"message":"Invalid token"}"#));
        for other in
            [r#"{"message":"Input validation failed"}"#, r#"{"message":7}"#, r#""Invalid token""#, "", "{"]
        {
            assert!(!refusal.is_message(bad, other.as_bytes()), "{other}");
        }
    }
}
