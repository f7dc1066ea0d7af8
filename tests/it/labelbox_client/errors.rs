//! What each bad answer means.

use std::time::Duration;

use jiff::{Timestamp, ToSpan, fmt::rfc2822};
use serde_json::json;
use tokio::net::TcpSocket;
use trainhook::{
    config::SecretRef,
    job::PipelineStatus,
    labelbox::{Class, Kind, Labelbox, LabelboxError},
};

use super::{Fixture, KEY, capture, model_run_id, report};
use crate::support::scripted::Reply;

async fn update_error(labelbox: &Labelbox) -> LabelboxError {
    let told = labelbox
        .update_status(&model_run_id(), &report(PipelineStatus::TrainingModel))
        .await;
    told.expect_err("a refusal")
}

async fn error_of(reply: Reply) -> LabelboxError {
    let fixture = Fixture::new([reply]).await;
    let error = update_error(&fixture.labelbox).await;
    fixture.only_request();
    error
}

/// A captured answer means this; whatever the SDK did with it.
macro_rules! captured {
    ($($test:ident: $capture:literal => $class:ident, $kind:ident, ambiguous: $ambiguous:literal;)+) => {
        $(#[tokio::test]
        async fn $test() {
            let fixture = Fixture::replaying(&capture($capture)).await;
            let error = update_error(&fixture.labelbox).await;
            assert_eq!(
                (error.class(), error.kind, error.ambiguous),
                (Class::$class, Kind::$kind, $ambiguous),
                "{error}"
            );
            fixture.only_request();
        })+
    };
}

captured! {
    a_401_with_graphql_errors_parks_the_workspace:
        "err_401_gql" => ParkWorkspace, Authentication, ambiguous: false;
    a_401_with_a_bare_message_parks_the_workspace:
        "err_401_json" => ParkWorkspace, Authentication, ambiguous: false;
    an_authentication_error_parks_the_workspace:
        "err_AUTHENTICATION_ERROR" => ParkWorkspace, Authentication, ambiguous: false;
    a_404_page_is_retried:
        "err_404_html" => Retry, Foreign, ambiguous: false;
    a_429_page_is_retried:
        "err_429_html" => Retry, RateLimited, ambiguous: false;
    a_429_message_is_retried:
        "err_ratelimit_429_json" => Retry, RateLimited, ambiguous: false;
    a_500_is_retried:
        "err_500_then_ok" => Retry, Unavailable, ambiguous: true;
    a_502_is_retried:
        "err_502_then_ok" => Retry, Unavailable, ambiguous: true;
    a_lasting_502_is_retried:
        "err_502_forever" => Retry, Unavailable, ambiguous: true;
    a_503_of_a_proxy_is_retried:
        "err_upstream_then_ok" => Retry, Unavailable, ambiguous: true;
    an_authorization_error_parks_the_run:
        "err_AUTHORIZATION_ERROR" => ParkRun, Authorization, ambiguous: false;
    a_query_too_complex_parks_the_run:
        "err_COMPLEXITY" => ParkRun, Refused, ambiguous: false;
    a_query_that_does_not_parse_parks_the_run:
        "err_GRAPHQL_PARSE_FAILED" => ParkRun, Refused, ambiguous: false;
    a_query_that_is_not_valid_parks_the_run:
        "err_GRAPHQL_VALIDATION_FAILED" => ParkRun, Refused, ambiguous: false;
    an_internal_400_parks_the_run:
        "err_INTERNAL_400" => ParkRun, Refused, ambiguous: false;
    an_internal_422_parks_the_run:
        "err_INTERNAL_422" => ParkRun, Refused, ambiguous: false;
    an_internal_426_parks_the_run:
        "err_INTERNAL_426" => ParkRun, Refused, ambiguous: false;
    an_internal_500_is_retried:
        "err_INTERNAL_500" => Retry, Unavailable, ambiguous: true;
    an_internal_503_is_retried:
        "err_INTERNAL_503" => Retry, Unavailable, ambiguous: true;
    an_internal_error_without_status_is_retried:
        "err_INTERNAL_nostatus" => Retry, Unavailable, ambiguous: true;
    a_malformed_request_parks_the_run:
        "err_MALFORMED_REQUEST" => ParkRun, Refused, ambiguous: false;
    an_operation_not_allowed_parks_the_run:
        "err_OPERATION_NOT_ALLOWED" => ParkRun, Refused, ambiguous: false;
    a_conflict_parks_the_run:
        "err_RESOURCE_CONFLICT" => ParkRun, Refused, ambiguous: false;
    an_update_of_a_run_not_found_is_no_success:
        "err_RESOURCE_NOT_FOUND" => NotFound, NotFound, ambiguous: false;
    an_unknown_code_parks_the_run:
        "err_SOMETHING_ELSE" => ParkRun, Refused, ambiguous: true;
    a_connection_closed_without_answer_is_retried:
        "err_connection_closed" => Retry, Interrupted, ambiguous: true;
}

#[tokio::test]
async fn statuses_without_graphql_errors_mean_what_they_say() {
    let rows = [
        (401, "<p>who?</p>", Kind::Authentication, false),
        (403, "<p>no</p>", Kind::Authorization, false),
        (403, r#"{"message":"no"}"#, Kind::Authorization, false),
        (404, r#"{"message":"no route"}"#, Kind::Foreign, false),
        (400, r#"{"message":"bad"}"#, Kind::Refused, false),
        (400, "<p>bad</p>", Kind::Foreign, false),
        (413, "<p>too large</p>", Kind::Refused, false),
        (200, "<p>log in</p>", Kind::Foreign, true),
        (200, "", Kind::Foreign, true),
        (
            200,
            r#"{"message":"You have exceeded it"}"#,
            Kind::RateLimited,
            false,
        ),
        (
            503,
            r#"{"message":"You have exceeded it"}"#,
            Kind::RateLimited,
            false,
        ),
        (
            429,
            r#"{"errors":[{"message":"slow"}]}"#,
            Kind::RateLimited,
            false,
        ),
        (
            401,
            r#"{"errors":[{"message":"who"}]}"#,
            Kind::Authentication,
            false,
        ),
        (
            500,
            r#"{"errors":[{"extensions":{"code":"AUTHENTICATION_ERROR"}}]}"#,
            Kind::Unavailable,
            true,
        ),
    ];
    for (status, body, kind, ambiguous) in rows {
        let error = error_of(Reply::new(status, body)).await;
        assert_eq!(
            (error.kind, error.ambiguous),
            (kind, ambiguous),
            "{status} {body}: {error}"
        );
    }
}

#[tokio::test]
async fn the_weightiest_of_several_errors_counts() {
    let errors = |codes: &[&str]| {
        let list: Vec<_> = codes
            .iter()
            .map(|code| json!({"message": "m", "extensions": {"code": code}}))
            .collect();
        json!({"errors": list, "data": null, "message": "You have exceeded it"})
    };
    let error = error_of(Reply::new(200, errors(&["X", "AUTHENTICATION_ERROR"]))).await;
    assert_eq!(error.kind, Kind::Authentication);
    let error = error_of(Reply::new(200, errors(&["X", "RESOURCE_NOT_FOUND"]))).await;
    assert_eq!(error.kind, Kind::RateLimited);
}

#[tokio::test]
async fn errors_beside_data_are_errors() {
    let body = json!({
        "data": {"updateTrainingPipeline": {"status": "TRAINING_MODEL"}},
        "errors": [{"message": "m", "extensions": {"code": "OPERATION_NOT_ALLOWED"}}],
    });
    assert_eq!(error_of(Reply::new(200, body)).await.kind, Kind::Refused);
}

#[tokio::test]
async fn retry_after_in_seconds_is_kept_and_bounded() {
    let rows = [
        ("17", Some(17)),
        ("86400", Some(3600)),
        ("-1", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
    ];
    for (header, seconds) in rows {
        let error = error_of(Reply::new(429, "{}").with_header("Retry-After", header)).await;
        assert_eq!(
            error.retry_after,
            seconds.map(Duration::from_secs),
            "{header}"
        );
    }
}

#[tokio::test]
async fn retry_after_as_a_date_is_a_wait_from_now() {
    let until = Timestamp::now() + 30.minutes();
    let header = rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&until)
        .expect("a date");
    let reply = Reply::new(503, "later").with_header("Retry-After", &header);
    let wait = error_of(reply).await.retry_after.expect("a wait");
    assert!(
        !wait.is_zero() && wait <= Duration::from_secs(30 * 60),
        "{wait:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let there = Fixture::new([]).await;
    let reply = Reply::new(307, "").with_header("Location", &there.server.url("/_gql"));
    let error = error_of(reply).await;
    assert_eq!((error.kind, error.ambiguous), (Kind::Foreign, false));
    assert!(there.server.finish().is_empty());
}

#[tokio::test]
async fn a_call_that_hangs_ends_and_may_have_been_carried_out() {
    let fixture = Fixture::with_timeout([Reply::Hang], Duration::from_secs(3)).await;
    let error = update_error(&fixture.labelbox).await;
    assert_eq!((error.kind, error.ambiguous), (Kind::Interrupted, true));
    fixture.only_request();
}

#[tokio::test]
async fn an_answer_cut_short_may_have_been_carried_out() {
    let error = error_of(Reply::CloseWithinBody).await;
    assert_eq!(
        (error.class(), error.ambiguous),
        (Class::Retry, true),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let error = error_of(Reply::new(200, " ".repeat(17 * 1024 * 1024))).await;
    assert_eq!((error.kind, error.ambiguous), (Kind::Foreign, true));
}

#[tokio::test]
async fn a_refused_connection_carried_nothing_out() {
    let fixture = Fixture::new([]).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let address = socket.local_addr().expect("a bound address");
    let key = SecretRef::File(fixture.folder.path().join("key"));
    let endpoint = format!("http://{address}/graphql");
    let labelbox = Labelbox::new(&endpoint, key, Duration::from_secs(30));
    let error = update_error(&labelbox).await;
    assert_eq!(
        (error.kind, error.ambiguous),
        (Kind::Unreachable, false),
        "{error}"
    );
}

#[tokio::test]
async fn an_unusable_endpoint_parks_the_workspace() {
    let fixture = Fixture::new([]).await;
    let key = SecretRef::File(fixture.folder.path().join("key"));
    let labelbox = Labelbox::new("not an address", key, Duration::from_secs(30));
    let error = update_error(&labelbox).await;
    assert_eq!(
        (error.class(), error.kind),
        (Class::ParkWorkspace, Kind::Setup),
        "{error}"
    );
}

#[tokio::test]
async fn messages_are_one_bounded_line() {
    let body = format!("<h1>oh\r\n\u{1b}[31m no</h1>{}", "é".repeat(5000));
    let message = error_of(Reply::new(500, body)).await.to_string();
    assert_eq!(message.chars().count(), 300);
    assert!(!message.chars().any(char::is_control), "{message}");
    assert!(!message.contains(KEY));
}
