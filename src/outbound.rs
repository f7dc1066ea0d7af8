//! How the program calls others over HTTP: one place for the settings that every client shares, and for what their
//! errors say.

use std::{env, sync::Once, time::Duration};

use reqwest::Url;

/// A connection that is not there after this is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The variables that name proxies.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

static PROVIDER: Once = Once::new();

/// A builder of clients that name themselves `trainhook/<version>`, give up a connection after 10 s and
/// follow no redirects: an answer is the answer of the address that was asked, and a key or a signature
/// never travels further. The time limit of a whole call is the caller's to set.
pub fn client_builder() -> reqwest::ClientBuilder {
    provide_tls();
    reqwest::Client::builder()
        .user_agent(concat!("trainhook/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
}

/// The same for one address alone. If that is an `http` one, this machine's certificates are not read, which takes
/// milliseconds and fails where there are none, as in many an image.
pub fn client_builder_for(url: &str) -> reqwest::ClientBuilder {
    match url.starts_with("http://") {
        true => client_builder().tls_certs_only([]),
        false => client_builder(),
    }
}

/// Gives every TLS connection of this process its cryptography. Idempotent.
pub fn provide_tls() {
    PROVIDER.call_once(|| {
        // An error means that a provider is there already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The hosts of the proxies that the environment names.
#[must_use]
pub fn proxy_hosts() -> Vec<String> {
    let named = PROXY_VARIABLES
        .into_iter()
        .filter_map(|name| env::var(name).ok());
    let host = |text: String| {
        // A proxy may be named without its scheme.
        let url = Url::parse(&text).ok().filter(Url::has_host);
        let url = url.or_else(|| Url::parse(&format!("http://{text}")).ok());
        url?.host_str().map(str::to_owned)
    };
    named.filter_map(host).collect()
}

/// An error and all that caused it, innermost last: a client's own text alone does not say "connection refused".
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// What is behind all else of an error: the outer ones only say that something failed, and where.
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
