//! How the program calls others over HTTP: one place for the settings that every client shares.

use std::{sync::Once, time::Duration};

/// A connection that is not there after this is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Gives every TLS connection of this process its cryptography. Idempotent.
pub fn provide_tls() {
    PROVIDER.call_once(|| {
        // An error means that a provider is there already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
