use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// A server that asks for longer is asked again sooner.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// RFC 9110 §10.2.3: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(after.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::retry_after;

    #[test]
    fn both_forms_of_retry_after_m_9110_6() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let after = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("Tue, 14 Nov 2023 22:13:27 GMT"), Some(7));
        assert_eq!(after("Tue, 14 Nov 2023 22:13:13 GMT"), Some(0));
        assert_eq!(after("99999999999999999999999"), Some(3600));
        assert_eq!((after("-1"), after("soon"), after("")), (None, None, None));
    }
}
