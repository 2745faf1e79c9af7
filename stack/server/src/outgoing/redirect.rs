//! Where an answer sends us (net/http's Client.do and redirectBehavior).

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};

/// Redirects that are followed, as in Go.
pub(super) const REDIRECTS_MAX: usize = 10;

/// The headers that do not go to another host: Go's, and the ones of tokens.
const FOR_ONE_HOST: [header::HeaderName; 5] = [
    header::AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::HeaderName::from_static("cookie2"),
];

/// The request that follows from an answer to `last`; none where the answer is final.
pub(super) fn next_hop(
    last: &Request<Bytes>,
    answer: &Response<Bytes>,
) -> Option<Result<Request<Bytes>, String>> {
    let keeps_method = match answer.status().as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return None,
    };
    // An answer without a place to go to is final.
    let location = answer.headers().get(header::LOCATION)?;
    let resolved = location.to_str().ok();
    let Some(target) = resolved.and_then(|to| resolve(last.uri(), to)) else {
        return Some(Err("redirected to an address that is none".to_owned()));
    };
    if !matches!(target.scheme_str(), Some("http" | "https")) || target.host().is_none() {
        return Some(Err(format!(
            "redirected to the scheme {:?}, expected http or https",
            target.scheme_str().unwrap_or_default()
        )));
    }
    let keeps_body = keeps_method || matches!(*last.method(), Method::GET | Method::HEAD);
    let mut next = Request::new(if keeps_body {
        last.body().clone()
    } else {
        Bytes::new()
    });
    *next.method_mut() = match (keeps_method, last.method()) {
        (false, method) if *method != Method::HEAD => Method::GET,
        (_, method) => method.clone(),
    };
    next.headers_mut().clone_from(last.headers());
    next.headers_mut().remove(header::HOST);
    if !keeps_body {
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
        ] {
            next.headers_mut().remove(name);
        }
    }
    if !is_same_house(last.uri(), &target) {
        for name in FOR_ONE_HOST {
            next.headers_mut().remove(name);
        }
    }
    *next.uri_mut() = target;
    Some(Ok(next))
}

/// Whether credentials for `from` may go to `to`: the same host or one below it, and never from TLS to none.
fn is_same_house(from: &Uri, to: &Uri) -> bool {
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return false;
    }
    let (Some(from), Some(to)) = (from.host(), to.host()) else {
        return false;
    };
    let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
    // An IP address has no hosts below it.
    let is_name = !from.ends_with(|last: char| last.is_ascii_digit() || last == ']');
    from == to || (is_name && to.ends_with(&format!(".{from}")))
}

/// RFC 3986, 5.2, for the kinds of references that servers send.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if has_scheme {
        return location.parse().ok();
    }
    let scheme = base.scheme_str()?;
    if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    }
    let authority = base.authority()?;
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (location, String::new()),
    };
    let path = if path.is_empty() {
        base.path().to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = base
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        without_dots(&format!("{folder}/{path}"))
    };
    let query = match (location.is_empty(), base.query()) {
        (true, Some(query)) => format!("?{query}"),
        _ => query,
    };
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for part in path.split('/').skip(1) {
        ends_in_folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let end = if ends_in_folder && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let base: Uri = "https://a.org:8443/x/y?q=1".parse().expect("an address");
        for (location, expected) in [
            ("http://b.org/z", Some("http://b.org/z")),
            ("//b.org/z", Some("https://b.org/z")),
            ("/z?p=2#f", Some("https://a.org:8443/z?p=2")),
            ("z", Some("https://a.org:8443/x/z")),
            ("../z", Some("https://a.org:8443/z")),
            ("./", Some("https://a.org:8443/x/")),
            ("?p=2", Some("https://a.org:8443/x/y?p=2")),
            ("", Some("https://a.org:8443/x/y?q=1")),
            ("http://b c/", None),
        ] {
            let found = resolve(&base, location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn credentials_stay_in_the_house() {
        for (from, to, expected) in [
            ("http://a.org/", "http://a.org:81/", true),
            ("http://a.org/", "http://sub.a.org/", true),
            ("http://sub.a.org/", "http://a.org/", false),
            ("http://a.org/", "http://bada.org/", false),
            ("https://a.org/", "http://a.org/", false),
            ("http://1.2.3.4/", "http://9.1.2.3.4/", false),
        ] {
            let uri = |text: &str| text.parse::<Uri>().expect("an address");
            assert_eq!(is_same_house(&uri(from), &uri(to)), expected, "{from} {to}");
        }
    }

    #[test]
    fn what_a_redirect_keeps() {
        let last = |method: Method| {
            Request::builder()
                .method(method)
                .uri("http://a.org/x")
                .header("authorization", "Bearer t")
                .header("content-type", "text/plain")
                .header("x-own", "1")
                .body(Bytes::from("body"))
                .expect("a request")
        };
        let answer = |status: u16, location: &str| {
            Response::builder()
                .status(status)
                .header("location", location)
                .body(Bytes::new())
                .expect("an answer")
        };
        for (method, status, location, expected) in [
            (Method::POST, 302, "/y", ("GET", "", true)),
            (Method::POST, 307, "/y", ("POST", "body", true)),
            (Method::POST, 308, "http://b.org/", ("POST", "body", false)),
            (Method::HEAD, 301, "/y", ("HEAD", "body", true)),
        ] {
            let next = next_hop(&last(method), &answer(status, location))
                .expect("a redirect")
                .expect("a valid one");
            let found = (
                next.method().as_str(),
                std::str::from_utf8(next.body()).expect("text"),
                next.headers().contains_key("authorization"),
            );
            assert_eq!(found, expected, "{status}");
            assert!(next.headers().contains_key("x-own"));
        }
        assert!(next_hop(&last(Method::GET), &answer(200, "/y")).is_none());
        assert!(next_hop(&last(Method::GET), &answer(304, "/y")).is_none());
        let nowhere = next_hop(&last(Method::GET), &answer(302, "file:///etc/passwd"));
        assert!(nowhere.is_some_and(|next| next.is_err()));
    }
}
