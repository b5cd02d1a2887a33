//! What an S3 call that failed means: whether to try again, whether it may have happened, and what to tell a person.

use std::{future::Future, time::Duration};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use lifeboat_core::{Error, ErrorKind};

/// What was asked of S3: a verb for messages and the right it takes, for hints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action {
    verb: &'static str,
    right: &'static str,
}

impl Action {
    pub(super) const WRITE: Self = Self { verb: "write", right: "s3:PutObject" };
    pub(super) const ABORT: Self = Self { verb: "abort the upload of", right: "s3:AbortMultipartUpload" };
    pub(super) const READ: Self = Self { verb: "read", right: "s3:GetObject" };
    pub(super) const THAW: Self = Self { verb: "thaw", right: "s3:RestoreObject" };
    pub(super) const LIST: Self = Self { verb: "list", right: "s3:ListBucket" };
    pub(super) const LIST_UPLOADS: Self =
        Self { verb: "list unfinished uploads of", right: "s3:ListBucketMultipartUploads" };
    pub(super) const SET_TAGS: Self = Self { verb: "tag", right: "s3:PutObjectTagging" };
    pub(super) const GET_TAGS: Self = Self { verb: "read the tags of", right: "s3:GetObjectTagging" };
    pub(super) const DELETE: Self = Self { verb: "delete", right: "s3:DeleteObject" };
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The condition of a conditional write was not met.
    Taken,
    /// It did not happen; the same call may succeed in a moment.
    Again,
    /// It may have happened, or may yet; the same call may succeed in a moment.
    Unknown,
    /// The same call will fail again.
    Final,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    status: Option<u16>,
    code: Option<String>,
    text: String,
    retryable: bool,
}

impl Failure {
    /// Reads what the SDK reports.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + RequestId + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        if let Some(answer) = error.as_service_error() {
            let code = answer.code().map(ToOwned::to_owned);
            let mut text = code.clone().unwrap_or_else(|| "no error code".to_owned());
            if let Some(message) = answer.message().filter(|message| !message.is_empty()) {
                text = format!("{text}: {message}");
            }
            if let Some(status) = status {
                text = format!("{text} (HTTP {status})");
            }
            if let Some(id) = answer.request_id() {
                text = format!("{text} (request {id})");
            }
            return Self { status, code, text: printable(&text), retryable: true };
        }
        // Requests carry no secret in their text: credentials travel as a signature only.
        let text = printable(&with_causes(error));
        let retryable = match error {
            SdkError::ConstructionFailure(_) => false,
            SdkError::DispatchFailure(failure) => !failure.is_user() && !mentions_credentials(&text),
            _ => true,
        };
        Self { status, code: None, text, retryable }
    }

    /// A call that got no answer in time.
    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::unknown(format!("no answer within {} s", limit.as_secs()))
    }

    /// A call of which we cannot say whether it happened.
    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self { status: None, code: None, text: text.into(), retryable: true }
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The object, upload or bucket is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.status == Some(404)
    }

    /// The credentials lack the right.
    pub(super) fn is_denied(&self) -> bool {
        self.status == Some(403) && !self.has_code("InvalidObjectState")
    }

    pub(super) fn fate(&self) -> Fate {
        match (self.status, self.code.as_deref()) {
            (Some(412), _) => Fate::Taken,
            // Damaged on the way, and therefore not stored; or a conflict that lasts a moment.
            (
                _,
                Some(
                    "BadDigest"
                    | "XAmzContentChecksumMismatch"
                    | "XAmzContentSHA256Mismatch"
                    | "IncompleteBody"
                    | "ConditionalRequestConflict"
                    | "OperationAborted",
                ),
            )
            | (Some(409 | 429), _) => Fate::Again,
            (Some(501), _) => Fate::Final,
            // "200 with an error body" arrives with a code and whatever status.
            (_, Some("InternalError" | "ServiceUnavailable" | "SlowDown" | "RequestTimeout"))
            | (Some(408 | 500..), _) => Fate::Unknown,
            (_, None) if self.retryable => Fate::Unknown,
            _ => Fate::Final,
        }
    }

    /// The error a person sees; `place` is the object's or bucket's URL.
    pub(super) fn into_error(self, action: Action, place: &str) -> Error {
        let (kind, hint) = self.advice(action, place);
        let error = Error::new(kind, format!("{} {place}: {}", action.verb, self.text));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    fn advice(&self, action: Action, place: &str) -> (ErrorKind, Option<String>) {
        let code = self.code.as_deref().unwrap_or_default();
        match code {
            "NoSuchBucket" => {
                (ErrorKind::NotFound, Some("create the bucket, or check its name and the region in the configuration".into()))
            }
            "NoSuchUpload" => (
                ErrorKind::Store,
                Some("the upload was aborted or swept by someone else, or by a lifecycle rule that is too short; run it again".into()),
            ),
            "InvalidObjectState" => (
                ErrorKind::Store,
                Some("the object lies in Glacier: ask for a thaw (`aws s3api restore-object`), wait until it is done, then read".into()),
            ),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                (ErrorKind::Store, Some("the bucket is in another region: set AWS_REGION, or the region in the configuration".into()))
            }
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => (
                ErrorKind::Store,
                Some("the credentials are wrong or expired: check with `aws sts get-caller-identity`, and log in again".into()),
            ),
            "RequestTimeTooSkewed" => (ErrorKind::Store, Some("this machine's clock is wrong: set it".into())),
            "SlowDown" => (ErrorKind::Store, Some("the store throttles: use fewer jobs, or try later".into())),
            "NotImplemented" => (
                ErrorKind::Store,
                Some("the store lacks what Lifeboat needs (conditional writes and CRC64NVME checksums); use a newer version of it".into()),
            ),
            "KMS.DisabledException" | "KMS.NotFoundException" | "KMS.KMSInvalidStateException" => {
                (ErrorKind::Store, Some("enable the KMS key that encrypts the bucket, or cancel its deletion".into()))
            }
            _ if self.is_missing() => (ErrorKind::NotFound, None),
            _ if self.is_denied() => (
                ErrorKind::Store,
                Some(format!(
                    "allow {} on {place} (where the bucket is encrypted with KMS also kms:GenerateDataKey and kms:Decrypt)",
                    action.right
                )),
            ),
            _ if mentions_credentials(&self.text) => (
                ErrorKind::Store,
                Some("no usable AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()),
            ),
            _ => (ErrorKind::Store, None),
        }
    }
}

/// Makes one call, with a limit on how long its answer may take.
pub(super) async fn within<T, E>(
    limit: Duration,
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + RequestId + 'static,
{
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|e| Failure::of(&e)),
        Err(_) => Err(Failure::timed_out(limit)),
    }
}

fn mentions_credentials(text: &str) -> bool {
    text.contains("credential")
}

/// An error and what caused it; the SDK's errors show only their own layer.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let layer = inner.to_string();
        if !text.ends_with(&layer) {
            text = format!("{text}: {layer}");
        }
        cause = inner.source();
    }
    text
}

/// A server's words without what would disturb a log or a terminal, and not too many of them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Failure {
        Failure { status: Some(status), code: Some(code.to_owned()), text: code.to_owned(), retryable: true }
    }

    #[test]
    fn failures_are_told_apart_by_what_may_have_happened() {
        let cases = [
            (412, "PreconditionFailed", Fate::Taken),
            (409, "ConditionalRequestConflict", Fate::Again),
            (400, "BadDigest", Fate::Again),
            (503, "SlowDown", Fate::Unknown),
            (500, "InternalError", Fate::Unknown),
            (200, "InternalError", Fate::Unknown),
            (400, "RequestTimeout", Fate::Unknown),
            (502, "", Fate::Unknown),
            (501, "NotImplemented", Fate::Final),
            (403, "AccessDenied", Fate::Final),
            (404, "NoSuchBucket", Fate::Final),
            (400, "InvalidArgument", Fate::Final),
        ];
        for (status, code, fate) in cases {
            assert_eq!(answer(status, code).fate(), fate, "{status} {code}");
        }
        assert_eq!(Failure::timed_out(Duration::from_secs(1)).fate(), Fate::Unknown);
    }

    #[test]
    fn every_failure_a_person_can_mend_says_how() {
        let cases = [
            (404, "NoSuchBucket", ErrorKind::NotFound, "create the bucket"),
            (404, "NoSuchKey", ErrorKind::NotFound, "lifeboat list"),
            (403, "AccessDenied", ErrorKind::Store, "s3:GetObject"),
            (403, "InvalidObjectState", ErrorKind::Store, "thaw"),
            (301, "PermanentRedirect", ErrorKind::Store, "region"),
            (403, "ExpiredToken", ErrorKind::Store, "log in again"),
            (403, "RequestTimeTooSkewed", ErrorKind::Store, "clock"),
        ];
        for (status, code, kind, hint) in cases {
            let error = answer(status, code).into_error(Action::READ, "s3://acme/pg/x");
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.hint().contains(hint), "{code}: {}", error.hint());
            assert!(error.to_string().starts_with("read s3://acme/pg/x: "), "{error}");
        }
    }
}
